VENV := .venv
BIN := $(VENV)/bin

.PHONY: proto
proto:  ## Generate the gRPC code from api/nas_api/rpc/trials.proto
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m grpc_tools.protoc -Iapi --python_out=api --grpc_python_out=api --mypy_out=quiet:api --mypy_grpc_out=quiet:api api/nas_api/rpc/trials.proto
