"""NASSearch and NASPool as a real API server takes them: rules, defaults, columns, subresources."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from kubernetes import client, config
from nas_api.spec import NASSearch
from nas_operator.crd_rules import NASPOOL_RULES, NASSEARCH_RULES, Rule
from pydantic import ValidationError

from tests.cluster.cluster import Cluster
from tests.cluster.command import CommandError
from tests.control_plane.custom_resources import GROUP, VERSION, Object, pool, search

Case = tuple[str, Object, Object]
RULES = {rule.path + ": " + rule.message: rule for rule in NASSEARCH_RULES if rule.path}


def at(path: str, value: Any) -> Object:
    """A spec with `value` at `path`, in which `[]` stands for an only item. A pool has a name."""
    for name in reversed(path.removeprefix("spec").lstrip(".").split(".")):
        if name.endswith("[]"):
            value = [{"name": "a"} | value if name == "pools[]" else value]
        value = {name.removesuffix("[]"): value}
    return value  # type: ignore[no-any-return]


def both(first: Object, second: Object) -> Object:
    return {
        **first,
        **second,
        **{key: both(first[key], second[key]) for key in first.keys() & second.keys() if isinstance(first[key], dict)},
    }


USER_TASK = both(at("trainer.task", "my_task:train"), at("reward.metric", "score"))
LANGUAGE = {
    "searchSpace": {"type": "RecurrentCell"},
    "trainer": {"task": "language-model", "dataset": {"path": "pydoc"}},
    "reward": {"metric": "val_perplexity", "aggregate": "Min", "window": "all", "scale": 80, "exponent": -3},
}
CONVNET = {
    "type": "ConvNet",
    "layers": [{"operation": {"op": "Convolution", "filterHeight": 3, "filterWidth": 3, "filters": 24}, "inputs": []}],
}
DISCRETE = both(USER_TASK, at("searchSpace.type", "Discrete"))


def choice(name: str = "a", **fields: Any) -> Object:
    return {"name": name, "values": [2, 0.5, "x", True]} | fields


def choices(path: str) -> tuple[list[Any], list[Any]]:
    if path.endswith("layerTypes"):
        return ["Convolution", "Convolution"], ["Convolution", "MaxPooling"]
    if path.endswith("combinations"):
        return ["add", "add"], ["add", "max"]
    if path.endswith("activations"):
        return ["tanh", "tanh"], ["tanh", "sin"]
    return [2, 2], [2, 3]


def example(rule: Rule) -> tuple[Object, Object]:
    """What a rule refuses, and what it accepts, as a spec."""
    refused: Any
    accepted: Any
    path, message = rule.path, rule.message
    field = path.rpartition(".")[2]
    match field:
        case _ if "lists a choice twice" in message:
            refused, accepted = choices(path)
            if "recurrentCell" in path:
                return both(LANGUAGE, at(path, refused)), both(LANGUAGE, at(path, accepted))
        case _ if "lists a value twice" in message:
            refused, accepted = ([2, 2], [2, 3]) if field == "batchSize" else ([0.5, 0.5], [0.5, 0.25])
        case "searchSpace":
            return DISCRETE, both(DISCRETE, at("searchSpace.discrete.choices", [choice()]))
        case "choices" | "choices[]":
            refused, accepted = [choice(), choice()], [choice(), choice("b")]
            if "choices[].choices" in path:
                refused, accepted = ([{"name": "r", "repeat": 2, "choices": c}] for c in (refused, accepted))
            elif field == "choices[]":
                repeat = {"name": "r", "choices": [choice()]}
                refused, accepted = [repeat], [choice("n", values=[1, 2]), repeat | {"repeat": "n"}]
            path = "searchSpace.discrete.choices"
            return both(DISCRETE, at(path, refused)), both(DISCRETE, at(path, accepted))
        case "spec" if "trains a RecurrentCell" in message:
            return at("trainer.task", "language-model"), LANGUAGE
        case "spec" if "trains a ConvNet" in message:
            return {"searchSpace": {"type": "RecurrentCell"}}, {}
        case "spec" if "is not reported by language-model" in message:
            return both(LANGUAGE, at("reward.metric", "val_accuracy")), LANGUAGE
        case "layers":
            refused, accepted = {"initial": 9, "max": 3}, {"initial": 3, "max": 3}
        case "layerTypes":
            refused, accepted = ["MaxPooling"], ["Convolution"]
        case "controller" if "gradientsPerUpdate" in message:
            gathered = at("controller.parallelism.gradientsPerUpdate", 2)
            return both(gathered, at("controller.algorithm.type", "PPO")), gathered
        case "replicas":
            refused, accepted = 0, 10_000
        case "batchSize":
            refused, accepted = 0, "auto"
        case "maxTrials":
            refused, accepted = "many", "unlimited"
        case "window":
            refused, accepted = "some", "all"
        case "task":
            refused, accepted = "nonsense", "image-classification"
        case "trainer" if "not for image-classification" in message:
            refused, accepted = ({"dataset": {"path": path}} for path in ("pydoc", "digits"))
        case "trainer" if "not for language-model" in message:
            return both(LANGUAGE, at("trainer.dataset.path", "digits")), LANGUAGE
        case "trainer" if "dataset.format" in message:
            return both(LANGUAGE, at("trainer.dataset.format", "IDX")), LANGUAGE
        case "languageModel":
            refused, accepted = (
                {"sharedEmbeddings": True, "hiddenSize": 20, "embeddingSize": size} for size in (10, 20)
            )
        case "trainer":
            refused, accepted = ({"epochs": epochs, "optimizer": {"warmupEpochs": 3.5}} for epochs in (3, 4))
        case "reward" if "a failed trial would be the best" in message:
            negative = both(USER_TASK, at("reward.scale", -1))
            return negative, both(negative, at("reward.failedTrial.reward", -2))
        case "reward":
            refused, accepted = {"exponent": 0}, {"exponent": 1}
        case "spec" if "constraints need" in message:
            constrained = at("searchSpace.convNet.constraints.maxFlops", 5_000_000)
            return both(USER_TASK, constrained), constrained
        case "spec" if "is not reported" in message:
            return at("reward.metric", "accuracy"), both(USER_TASK, at("reward.metric", "accuracy"))
        case "spec" if message.startswith("controller.lowFidelity.epochs"):
            return at("controller.lowFidelity.epochs", 50), at("controller.lowFidelity.epochs", 49)
        case "spec" if message.startswith("controller.lowFidelity.dataFraction"):
            part = at("controller.lowFidelity.dataFraction", 0.5)
            return both(LANGUAGE, part), part
        case "spec" if message.startswith("controller.bootstrap"):
            begun = at("controller.bootstrap.architectures", [CONVNET])
            return both(LANGUAGE, begun), begun
        case "spec" if message.startswith("controller.earlyStopping"):
            member = message.split(".")[2]
            kind = {"median": "Median", "asha": "ASHA"}.get(member, "CurveExtrapolation")
            stopping = both(at("controller.earlyStopping.type", kind), at(message.split()[0], 5))
            return both(stopping, at("trainer.epochs", 5)), both(stopping, at("trainer.epochs", 6))
        case "spec" if "the other sign" in message:
            loss = at("reward.metric", "val_loss")
            return loss, both(loss, at("reward.exponent", -1))
        case _ if "above zero and at most" in message:
            refused, accepted = "0s", "1h30m"
        case "volumes[]":
            refused, accepted = ({"claimName": "data", "mountPath": path} for path in ("/tmp/data", "/data"))
        case "volumes":
            refused, accepted = (
                [{"claimName": name, "mountPath": path} for name, path in (("a", "/a"), ("b", second))]
                for second in ("/a", "/b")
            )
        case "cidr":
            refused, accepted = "10.0.0.1/8", "10.0.0.0/8"
        case "environment":
            refused, accepted = {"2X": "1"}, {"X2": "1"}
        case "tolerations[]" if "Exists matches every" in message:
            refused, accepted = {"operator": "Exists", "value": "x"}, {"operator": "Exists"}
        case "tolerations[]" if "Equal needs a key" in message:
            refused, accepted = {"value": "x"}, {"key": "k", "value": "x"}
        case "tolerations[]":
            refused = {"key": "k", "tolerationSeconds": 1}
            accepted = refused | {"effect": "NoExecute"}
        case "resources" | "nodeSelector":
            refused, accepted = {"k" * 254: "1"}, {"k" * 253: "1"}
        case _:
            raise ValueError(f"there is no example of {rule}")
    if field.endswith("[]"):
        path, refused, accepted = path.removesuffix("[]"), [refused], [accepted]
    extra = USER_TASK if field == "window" else {}
    return both(extra, at(path, refused)), both(extra, at(path, accepted))


CHECKED = [pytest.param(rule, id=name) for name, rule in RULES.items() if rule.expression != "self == oldSelf"]
IMMUTABLE = [pytest.param(rule, id=rule.path) for rule in RULES.values() if rule.expression == "self == oldSelf"]


@pytest.fixture(scope="module")
def api(cluster: Cluster) -> Iterator[client.CustomObjectsApi]:
    connection: Any = config.new_client_from_config(str(cluster.kubeconfig))  # more than its type stubs say
    with connection:
        yield client.CustomObjectsApi(connection)


Try = Callable[[Object], str]


@pytest.fixture(scope="module")
def refusal(api: client.CustomObjectsApi) -> Try:
    """Tries to make an object. Returns what the API server has against it; nothing if it takes it."""

    def attempt(manifest: Object) -> str:
        plural = {"NASSearch": "nassearches", "NASPool": "naspools"}[manifest["kind"]]
        try:
            api.create_namespaced_custom_object(
                GROUP, VERSION, "default", plural, manifest, dry_run="All", field_validation="Strict"
            )
        except client.ApiException as error:
            return str(json.loads(error.body or "")["message"])
        return ""

    return attempt


@pytest.mark.parametrize("rule", CHECKED)
def test_a_rule_refuses_what_it_says_and_the_models_refuse_it_too(rule: Rule, refusal: Try) -> None:
    wrong, right = example(rule)
    assert rule.message in refusal(search("a", wrong))
    assert refusal(search("a", right)) == ""
    with pytest.raises(ValidationError):
        NASSearch.model_validate(search("a", wrong))
    NASSearch.model_validate(search("a", right))


CHANGES: dict[str, Object] = {
    "spec.searchSpace": at("searchSpace.convNet.filters", [8]),
    "spec.controller.policy": at("controller.policy.hiddenSize", 70),
    "spec.controller.algorithm.type": at("controller.algorithm.type", "Random"),
    "spec.trainer.task": at("trainer.task", "my_task:train"),
    "spec.trainer.dataset": at("trainer.dataset.path", "/data"),
    "spec.controller.storage": at("controller.storage.size", "9Gi"),
    "spec.reward": at("reward.window", 3),
    "spec.seed": at("seed", 1),
}


@pytest.mark.parametrize("rule", IMMUTABLE)
def test_what_the_results_depend_on_cannot_be_changed(rule: Rule, cluster: Cluster, namespace: str) -> None:
    cluster.apply(search("a"), namespace=namespace)
    with pytest.raises(CommandError, match="Make a new NASSearch") as error:
        cluster.apply(search("a", CHANGES[rule.path]), namespace=namespace)
    assert rule.message in error.value.stderr


@pytest.mark.parametrize("field", [{"storageClassName": "fast"}, {"accessMode": "ReadWriteOnce"}], ids=str)
def test_what_the_volume_of_the_journal_was_made_by_cannot_be_changed(
    field: Object, cluster: Cluster, namespace: str
) -> None:
    cluster.apply(search("a"), namespace=namespace)
    with pytest.raises(CommandError, match="Resize the PersistentVolumeClaim journal-NAME-controller-0 instead"):
        cluster.apply(search("a", {"controller": {"storage": field}}), namespace=namespace)
    # The same in other words, as when a manifest is applied again, is no change.
    cluster.apply(search("a", {"controller": {"storage": {"size": "2Gi"}}}), namespace=namespace)


def test_everything_else_can_be_changed_while_a_search_runs(cluster: Cluster, namespace: str) -> None:
    cluster.apply(search("a"), namespace=namespace)
    edited = {
        "budget": {"maxTrials": 20},
        "suspend": True,
        "deletionPolicy": "Delete",
        "pools": [{"name": "spot", "replicas": 3}],
        "trainer": {"epochs": 5, "image": "mine:2"},
        "controller": {"lease": {"duration": "30s"}, "algorithm": {"reinforce": {"learningRate": 0.01}}},
        "finalTraining": {"top": 3, "timeout": "12h", "grid": {"learningRate": [0.1, 0.05]}},
    }
    cluster.apply(search("a", edited), namespace=namespace)


def test_a_pool_belongs_to_one_search_for_ever(cluster: Cluster, namespace: str) -> None:
    cluster.apply(pool("a-gpus", {"search": "a", "pool": "gpus"}), namespace=namespace)
    for rule, spec in zip(NASPOOL_RULES, ({"search": "b", "pool": "gpus"}, {"search": "a", "pool": "b"}), strict=True):
        with pytest.raises(CommandError, match=rule.message):
            cluster.apply(pool("a-gpus", spec), namespace=namespace)


def test_a_name_is_as_long_as_the_names_of_pods_allow(refusal: Try) -> None:
    assert refusal(search("a" * 52)) == ""
    for length in (53, 253):
        assert "metadata.name must have at most 52 characters: pods are named after it" in refusal(search("a" * length))


def test_a_name_has_no_dots_since_names_of_services_have_none(refusal: Try) -> None:
    assert "metadata.name must have no dots: Services are named after it" in refusal(search("digits.v2"))


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"budget": {"maxTrial": 5}}, 'unknown field "spec.budget.maxTrial"'),
        ({"pools": [{"name": "a", "podTemplate": {}}]}, 'unknown field "spec.pools[0].podTemplate"'),
        ({"pools": [{"name": "a"}, {"name": "a"}]}, 'spec.pools[1]: Duplicate value: {"name":"a"}'),
        ({"pools": []}, "spec.pools in body should have at least 1 items"),
        ({"trainer": {"epochs": 0}}, "spec.trainer.epochs in body should be greater than or equal to 1"),
        ({"trainer": {"timeout": "1 hour"}}, "spec.trainer.timeout in body should match"),
        ({"pools": [{"name": "a", "resources": {"cpu": "many"}}]}, "spec.pools[0].resources.cpu in body should match"),
        ({"trainer": {"egress": [{"cidr": "10.0.0.0"}]}}, "cidr must be a range of addresses such as 10.0.0.0/8"),
        ({"finalTraining": {"timeout": "a day"}}, "spec.finalTraining.timeout in body should match"),
        ({"finalTraining": {"grid": {"learningRate": [0]}}}, "learningRate[0] in body should be greater than 0"),
        ({"finalTraining": {"grid": {"momentum": [0.9]}}}, 'unknown field "spec.finalTraining.grid.momentum"'),
        (
            both(USER_TASK, at("finalTraining.grid.parameters", {"width": [8, 16, 8]})),
            "spec.finalTraining.grid.parameters[width][2]: Duplicate value: 8",
        ),
        ({"searchSpace": {"type": "Transformer"}}, 'spec.searchSpace.type: Unsupported value: "Transformer"'),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_is_refused_in_words(spec: Object, words: str, refusal: Try) -> None:
    assert words in refusal(search("a", spec))


def test_a_grid_has_values_of_any_type_each_once(refusal: Try) -> None:
    values = [2, 0.5, "2", "x", True, False]
    grid = both(USER_TASK, at("finalTraining.grid.parameters", {"width": values, "depth": values}))
    assert refusal(search("a", grid)) == ""


def test_kubectl_refuses_a_misspelt_field(cluster: Cluster, namespace: str) -> None:
    text = json.dumps(search("a", {"budget": {"maxTrial": 5}}))
    with pytest.raises(CommandError, match=r'unknown field "spec.budget.maxTrial"'):
        cluster.kubectl("--namespace", namespace, "apply", "-f", "-", input=text)


def test_defaults_are_the_models(cluster: Cluster, namespace: str) -> None:
    """What a user reads with `kubectl get -o yaml` is all that counts, not only what was written."""
    cluster.apply(search("a"), namespace=namespace)
    found = cluster.kubectl_json("--namespace", namespace, "get", "nassearch", "a")
    by_models = NASSearch.model_validate(search("a"))
    assert found["spec"] == by_models.model_dump(mode="json", exclude_none=True)["spec"]


def test_a_default_is_filled_into_what_is_written_only_in_part(cluster: Cluster, namespace: str) -> None:
    spec = {"pools": [{"name": "a", "tolerations": [{"key": "spot"}]}], "controller": {"lease": {"maxAttempts": 2}}}
    cluster.apply(search("a", spec), namespace=namespace)
    found = cluster.kubectl_json("--namespace", namespace, "get", "nassearch", "a")["spec"]
    assert found["pools"][0]["tolerations"] == [{"key": "spot", "operator": "Equal"}]
    assert found["controller"]["lease"] == {"duration": "60s", "maxAttempts": 2}


@pytest.mark.parametrize("server_side", ["--server-side=false", "--server-side=true"])
def test_a_search_without_bound_stays_so(server_side: str, cluster: Cluster, namespace: str) -> None:
    """As a word: a null would be lost, and 12,800 set for it."""
    for trials, window in ((20, 3), ("unlimited", "all")):
        manifest = search(f"a-{trials}", {"budget": {"maxTrials": trials}, "reward": {"window": window}})
        cluster.kubectl("--namespace", namespace, "apply", server_side, "-f", "-", input=json.dumps(manifest))
        read = cluster.kubectl_json("--namespace", namespace, "get", "nassearch", f"a-{trials}")
        spec = NASSearch.model_validate(read).spec
        assert (spec.budget.max_trials, spec.reward.window) == (
            None if trials == "unlimited" else 20,
            spec.reward.window,
        )
        assert read["spec"]["budget"]["maxTrials"] == trials
        assert read["spec"]["reward"]["window"] == window


def test_a_search_is_told_in_one_line(cluster: Cluster, namespace: str) -> None:
    cluster.apply(search("digits", {"budget": {"maxTrials": 120}}), namespace=namespace)
    now = "2025-01-31T12:00:00Z"
    conditions = [
        {"type": kind, "status": status, "reason": "Running", "lastTransitionTime": now}
        for kind, status in (("Ready", "True"), ("Succeeded", "False"))
    ]
    status = {
        "conditions": conditions,
        "trials": {"finished": 17, "failed": 2},
        "workers": {"alive": 3, "wanted": 4},
        "bestTrial": {"id": 5, "reward": 0.875, "digest": "ab"},
        "updates": 4,
    }
    patch_status(cluster, namespace, "nassearch/digits", status)
    assert columns(cluster, namespace, "nass") == {
        "NAME": "digits",
        "STATE": "Running",
        "SUCCEEDED": "False",
        "TRIALS": "17",
        "OF": "120",
        "BEST": "0.875",
        "WORKERS": "3",
        "WANTED": "4",
    }
    wide = columns(cluster, namespace, "nassearches", "-o", "wide")
    assert wide.items() >= {"FAILED": "2", "UPDATES": "4", "READY": "True"}.items()


def test_both_kinds_are_listed_together(cluster: Cluster, namespace: str) -> None:
    cluster.apply(search("a"), pool("a-gpus", {"search": "a", "pool": "gpus"}), namespace=namespace)
    listed = cluster.kubectl("--namespace", namespace, "get", "nas", "-o", "name").split()
    assert listed == ["naspool.kubenas.dev/a-gpus", "nassearch.kubenas.dev/a"]


def test_a_pool_is_scaled_as_a_deployment_is(cluster: Cluster, namespace: str) -> None:
    cluster.apply(pool("a-gpus", {"search": "a", "pool": "gpus"}), namespace=namespace)
    cluster.kubectl("--namespace", namespace, "scale", "naspool/a-gpus", "--replicas=5")
    selector = "kubenas.dev/search=a,kubenas.dev/pool=gpus"
    patch_status(cluster, namespace, "naspool/a-gpus", {"replicas": 4, "readyReplicas": 3, "selector": selector})
    path = f"/apis/{GROUP}/{VERSION}/namespaces/{namespace}/naspools/a-gpus/scale"
    scale = json.loads(cluster.kubectl("get", "--raw", path))
    assert scale["spec"] == {"replicas": 5}
    assert scale["status"] == {"replicas": 4, "selector": selector}
    shown = {"NAME": "a-gpus", "SEARCH": "a", "POOL": "gpus", "DESIRED": "5", "CURRENT": "4", "READY": "3"}
    assert columns(cluster, namespace, "nasp") == shown


@pytest.mark.parametrize("replicas", ["-1", "10001"])
def test_a_pool_has_at_most_10000_workers(replicas: str, cluster: Cluster, namespace: str) -> None:
    cluster.apply(pool("a-gpus", {"search": "a", "pool": "gpus"}), namespace=namespace)
    with pytest.raises(CommandError, match=r"spec.replicas|--replicas"):
        cluster.kubectl("--namespace", namespace, "scale", "naspool/a-gpus", f"--replicas={replicas}")


def test_nobody_writes_the_status_by_applying_a_manifest(cluster: Cluster, namespace: str) -> None:
    cluster.apply(search("a") | {"status": {"updates": 7}}, namespace=namespace)
    assert "status" not in cluster.kubectl_json("--namespace", namespace, "get", "nassearch", "a")


def test_kubectl_explains_every_section(cluster: Cluster) -> None:
    page = cluster.kubectl("explain", "nassearch.spec")
    for section in ("searchSpace", "controller", "trainer", "reward", "pools", "budget", "suspend", "seed"):
        assert f"\n  {section}\t" in page
    assert "The defaults of\n    the method are the paper's." in page
    assert "kubectl scale" in cluster.kubectl("explain", "naspool.spec.replicas")
    tolerations = cluster.kubectl("explain", "nassearch.spec.pools.tolerations")
    assert "enum: NoSchedule, PreferNoSchedule, NoExecute" in tolerations


def patch_status(cluster: Cluster, namespace: str, name: str, status: Object) -> None:
    patch = json.dumps({"status": status})
    cluster.kubectl("--namespace", namespace, "patch", name, "--subresource=status", "--type=merge", "-p", patch)


def columns(cluster: Cluster, namespace: str, *arguments: str) -> dict[str, str]:
    """The only line of `kubectl get`, by the titles of its columns, without the age."""
    titles, line = cluster.kubectl("--namespace", namespace, "get", *arguments).splitlines()
    return {title: text for title, text in zip(titles.split(), line.split(), strict=True) if title != "AGE"}
