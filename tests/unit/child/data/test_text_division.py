"""Texts: where they are found, how they are divided, what becomes of them; and the corpus that comes with Python."""

import builtins
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from nas_api.spec.trainer import Dataset, LanguageModel
from nas_child.data import python_reference
from nas_child.data.text_division import TextDivision, load_search_text, load_test_text
from nas_child.data.vocabulary import Vocabulary
from nas_child.task import TaskError

from tests.unit.child.data.test_division import open_files_of

PTB = {
    "train": " the cat sat \n the dog sat on <unk> \n",
    "valid": " the cat ran \n",
    "test": " a dog sat \n",
}
CHARACTERS = LanguageModel(level="Characters")
VOCABULARY = Vocabulary.of(PTB["train"], "Words", 100)


def write(folder: Path, names: dict[str, str]) -> Dataset:
    folder.mkdir(parents=True, exist_ok=True)
    for part, name in names.items():
        (folder / name).write_text(PTB[part])
    return Dataset(path=str(folder))


def decoded(division: TextDivision) -> tuple[str, str]:
    joint = "" if division.vocabulary.level == "Characters" else " "
    return (
        joint.join(division.vocabulary.tokens[number] for number in division.training),
        joint.join(division.vocabulary.tokens[number] for number in division.validation),
    )


LAYOUTS = [
    {"train": "train.txt", "valid": "valid.txt", "test": "test.txt"},
    {"train": "ptb.train.txt", "valid": "ptb.valid.txt", "test": "ptb.test.txt"},
    {"train": "wiki.train.tokens", "valid": "wiki.valid.tokens", "test": "wiki.test.tokens"},
    {"train": "train", "valid": "validation.raw", "test": "test"},
    {"train": "my_train.txt", "valid": "my_val.txt", "test": "my_test.txt"},
]


@pytest.mark.parametrize("names", LAYOUTS, ids=[layout["train"] for layout in LAYOUTS])
def test_words_are_read_as_the_penn_treebank_is(names: dict[str, str], tmp_path: Path) -> None:
    division = load_search_text(write(tmp_path / "ptb", names), LanguageModel(), tmp_path)
    # `cat` and `dog` in the order of the text: both occur once. What only the validation text has is unknown.
    assert division.vocabulary.tokens == ("<unk>", "the", "sat", "<eos>", "cat", "dog", "on")
    assert decoded(division) == ("the cat sat <eos> the dog sat on <unk> <eos>", "the cat <unk> <eos>")
    assert division.training.dtype == torch.int64


def test_characters_are_all_characters_line_ends_included(tmp_path: Path) -> None:
    division = load_search_text(write(tmp_path / "ptb", LAYOUTS[0]), CHARACTERS, tmp_path)
    assert decoded(division)[0] == PTB["train"]
    assert decoded(division)[1] == PTB["valid"].replace("r", "<unk>")


def test_the_search_opens_no_test_file(tmp_path: Path) -> None:
    dataset = write(tmp_path / "ptb", LAYOUTS[1])
    opened = open_files_of(lambda: load_search_text(dataset, LanguageModel(), tmp_path))
    names = {Path(path).name for path in opened}
    assert {"ptb.train.txt", "ptb.valid.txt"} <= names
    assert "ptb.test.txt" not in names
    opened = open_files_of(lambda: load_test_text(dataset, LanguageModel(), tmp_path, VOCABULARY))
    assert str(tmp_path / "ptb" / "ptb.test.txt") in opened


def test_a_search_can_do_without_a_test_file_and_the_final_training_cannot(tmp_path: Path) -> None:
    dataset = write(tmp_path / "ptb", {part: LAYOUTS[0][part] for part in ("train", "valid")})
    load_search_text(dataset, LanguageModel(), tmp_path)
    with pytest.raises(TaskError, match=r"no test text in this folder \(it holds train.txt, valid.txt\)"):
        load_test_text(dataset, LanguageModel(), tmp_path, VOCABULARY)


def test_the_test_text_is_written_in_the_vocabulary_of_the_search(tmp_path: Path) -> None:
    dataset = write(tmp_path / "ptb", LAYOUTS[0])
    vocabulary = load_search_text(dataset, LanguageModel(), tmp_path).vocabulary
    test = load_test_text(dataset, LanguageModel(), tmp_path, vocabulary)
    assert [vocabulary.tokens[number] for number in test] == ["<unk>", "dog", "sat", "<eos>"]


def test_without_a_validation_text_the_end_of_the_training_text_is_held_out(tmp_path: Path) -> None:
    (tmp_path / "text").mkdir()
    text = "".join(f"{number:04}\n" for number in range(100))
    (tmp_path / "text" / "train.txt").write_text(text)
    dataset = Dataset(path=str(tmp_path / "text"), validation_fraction=0.2)
    assert decoded(load_search_text(dataset, CHARACTERS, tmp_path)) == (text[:400], text[400:])


def test_one_file_is_divided_into_three(tmp_path: Path) -> None:
    text = "abcdefghij" * 10
    (tmp_path / "text.txt").write_text(text)
    dataset = Dataset(path=str(tmp_path / "text.txt"), validation_fraction=0.1)
    division = load_search_text(dataset, CHARACTERS, tmp_path)
    assert decoded(division) == (text[:80], text[80:90])
    test = load_test_text(dataset, CHARACTERS, tmp_path, division.vocabulary)
    assert torch.equal(test, division.vocabulary.encode(text[90:]))


def test_a_text_can_come_in_an_archive(tmp_path: Path) -> None:
    write(tmp_path / "in" / "ptb", LAYOUTS[1])
    archive = shutil.make_archive(str(tmp_path / "ptb"), "gztar", tmp_path / "in")
    division = load_search_text(Dataset(path=archive), LanguageModel(), tmp_path / "cache")
    assert len(division.training) == 10


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, r"no train text in this folder \(it holds nothing\); expected train.txt, valid.txt and test.txt"),
        ({"a.txt": b"text"}, r"no train text in this folder \(it holds a.txt\)"),
        ({"train.txt": b""}, r"train.txt: the text is empty"),
        ({"train.txt": b"caf\xe9 au lait"}, r"train.txt: not a text in UTF-8: byte 3 is 0xe9. Convert it"),
        (
            {"train.txt": b"a", "ptb.train.txt": b"b"},
            r"several files could be the train text: ptb.train.txt, train.txt",
        ),
        ({"train.txt": b"a"}, r"nothing is left for the valid text \(trainer.dataset.validationFraction\)"),
    ],
)
def test_what_is_wrong_with_a_text_is_said(files: dict[str, bytes], message: str, tmp_path: Path) -> None:
    folder = tmp_path / "text"
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    with pytest.raises(TaskError, match=message):
        load_search_text(Dataset(path=str(folder)), LanguageModel(), tmp_path)


def test_one_file_needs_room_for_three_parts(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("abcdefghij" * 10)
    with pytest.raises(TaskError, match=r"nothing is left for the train text \(trainer.dataset.validationFraction\)"):
        load_search_text(Dataset(path=str(tmp_path / "text.txt"), validation_fraction=0.6), CHARACTERS, tmp_path)


def test_the_vocabulary_is_bounded_and_keeps_the_commonest() -> None:
    vocabulary = Vocabulary.of("a b b c c c d <unk> <unk>", "Words", bound=3)
    assert vocabulary.tokens == ("<unk>", "c", "b")
    assert vocabulary.encode("a b c").tolist() == [0, 2, 1, 0]  # the line's end did not find room either


def test_pydoc_is_english_of_some_size_in_three_parts_that_share_no_paragraph() -> None:
    parts = {part: python_reference.read(part, words=False) for part in ("train", "valid", "test")}
    assert len(parts["train"]) > 200_000
    assert min(len(parts["valid"]), len(parts["test"])) > 20_000
    paragraphs = {part: {" ".join(p.split()) for p in text.split("\n\n")} for part, text in parts.items()}
    assert not paragraphs["train"] & paragraphs["valid"]
    assert not paragraphs["train"] & paragraphs["test"]
    assert not paragraphs["valid"] & paragraphs["test"]
    assert parts["train"].lower().split().count("the") > 1000
    assert parts == {part: python_reference.read(part, words=False) for part in parts}


def test_words_of_pydoc_are_written_like_the_penn_treebank() -> None:
    division = load_search_text(Dataset(path="pydoc"), LanguageModel(), Path("nowhere"))
    assert "the" in division.vocabulary.tokens[:10]
    assert {"function", "(", ")", ".", ">>>"} <= set(division.vocabulary.tokens)
    assert not any(token.lower() != token for token in division.vocabulary.tokens)


def test_the_description_tells_versions_of_a_text_apart(tmp_path: Path) -> None:
    described = load_search_text(Dataset(path="pydoc"), CHARACTERS, tmp_path).description
    assert f"Python {sys.version.split()[0]}" in described
    dataset = write(tmp_path / "ptb", LAYOUTS[0])
    one = load_search_text(dataset, LanguageModel(), tmp_path).description
    assert f"{dataset.path}: words, 10 for training, 4 for validation, 7 different, SHA-256 " in one
    (tmp_path / "ptb" / "train.txt").write_text(PTB["train"].replace("sat", "lay"))
    assert load_search_text(dataset, LanguageModel(), tmp_path).description != one


def test_a_python_without_its_documentation_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some distributions split it off."""
    real = builtins.__import__

    def without(name: str, *arguments: Any, **keywords: Any) -> Any:
        if name.startswith("pydoc_data"):
            raise ModuleNotFoundError("No module named 'pydoc_data'")
        return real(name, *arguments, **keywords)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(TaskError, match=r"this Python .* comes without its documentation"):
        python_reference.read("train", words=False)
