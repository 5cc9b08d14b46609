"""``musenc messages``: every message that a user can meet, from where the program raises it."""

from __future__ import annotations

import argparse
import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from bids_app import errors
from bids_app.errors import MusencError, UsageError, anchor_of
from bids_app.log import tell

CLASSES = {
    name: one
    for name, one in vars(errors).items()
    if isinstance(one, type) and issubclass(one, MusencError)
}
MEANINGS = {
    1: "An analysis or a step failed; others may be complete.",
    2: "The options cannot be used together, or have values that cannot be used.",
    16: "The dataset is not as BIDS or fMRIPrep specify it.",
    18: "The options select nothing.",
    65: "A file can be read, but its content cannot be used.",
    66: "A file is missing.",
    73: "An output cannot be written.",
    75: "The same command may succeed later, or with more memory.",
}


@dataclass
class Message:
    """What is wrong in one sentence, its exit codes, and the remedies that places offer."""

    what: str
    codes: set[int] = field(default_factory=set)
    remedies: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Through:
    """A function that raises what it is given: its callers say it."""

    name: str
    position: int
    code: int


def add_messages(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``musenc messages``."""
    parser = commands.add_parser(
        "messages",
        help="what to do about a message of the program",
        description="Says what to do about a message, from everywhere the program gives it.",
        epilog="example: musenc messages a-stimulus-has-no-onset",
    )
    parser.add_argument("name", help="as the last line of a message has it, or a part of that")
    parser.set_defaults(work=_tell_messages)


def _tell_messages(options: argparse.Namespace) -> int:
    wanted, known = anchor_of(options.name), messages(*sources())
    found = [one for what, one in known.items() if wanted in anchor_of(what)]
    exact = [one for one in found if wanted == anchor_of(one.what)]
    if not found:
        raise UsageError("There is no such message.", where="musenc messages", found=options.name)
    for one in exact or found:
        codes = " ".join(f"Exit code {code}: {MEANINGS[code]}" for code in sorted(one.codes))
        offered = one.remedies or ["make what it found what it wanted; the message names both"]
        remedies = "".join(f"\n  do this: {text}" for text in offered)
        tell(f"{one.what}\n  {codes}{remedies}")
    return 0


def sources() -> list[Path]:
    """Folders of the program's own modules, wherever it is installed."""
    specs = (find_spec(name) for name in ("bids_app", "bids_app.workflows"))
    return [Path(place) for one in specs if one for place in one.submodule_search_locations or ()]


def messages(*roots: Path) -> dict[str, Message]:
    """Every sentence that the files below these folders raise.

    Raises
    ------
    ValueError
        A sentence that is put together: what changes belongs to where, found and wanted.
    """
    found: dict[str, Message] = {}
    files = dict.fromkeys(path for root in roots for path in sorted(root.rglob("*.py")))
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in files]
    shared = {name: text for tree in trees for name, text in _texts(tree)}
    through = [one for tree in trees for one in _raised(tree, found, shared)]
    for tree in trees:
        for call in _calls(tree):
            for one in through:
                if _name(call.func) == one.name and (node := _argument(call, one.position)):
                    for what in _sentences(node, tree) or ():
                        found.setdefault(what, Message(what)).codes.add(one.code)
    return found


def _raised(
    tree: ast.Module, found: dict[str, Message], shared: dict[str, str]
) -> Iterator[_Through]:
    """Add what a module raises; yield the functions that raise what they are given."""
    texts = {**shared, **dict(_texts(tree))}
    owners = {
        id(call): function
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef)
        for call in _calls(function)
    }
    for call in _calls(tree):
        name = _name(call.func)
        if name not in CLASSES or not call.args:
            continue
        code = CLASSES[name].exit_code
        sentences, function = _sentences(call.args[0], tree), owners.get(id(call))
        if sentences is None:
            raise ValueError(f"a message is put together: {ast.unparse(call)}")
        for what in sentences:
            message = found.setdefault(what, Message(what))
            message.codes.add(code)
            offered = _remedies(call, texts)
            message.remedies += [text for text in offered if text not in message.remedies]
        if function is not None and isinstance(call.args[0], ast.Name):
            for position, parameter in enumerate(function.args.args):
                if parameter.arg == call.args[0].id:
                    yield _Through(function.name, position, code)


def _calls(tree: ast.AST) -> Iterator[ast.Call]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def _name(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _argument(call: ast.Call, position: int) -> ast.expr | None:
    given = {keyword.arg: keyword.value for keyword in call.keywords}
    return given.get("what") or (call.args[position] if position < len(call.args) else None)


def _sentences(node: ast.expr, tree: ast.Module) -> list[str] | None:
    """What an expression says; None where it is put together, nothing where it is another's."""
    if isinstance(node, ast.Constant):
        return [str(node.value)]
    if isinstance(node, ast.IfExp):
        both = [_sentences(one, tree) for one in (node.body, node.orelse)]
        return None if None in both else [what for one in both for what in one or ()]
    if isinstance(node, ast.Name):
        return [
            str(value.value)
            for name, value in _assigned(tree)
            if name == node.id
            and isinstance(value, ast.Constant)
            and str(value.value).endswith(".")
        ]
    return [] if isinstance(node, ast.Attribute) else None


def _assigned(tree: ast.Module) -> Iterator[tuple[str, ast.expr]]:
    """Names that values are given to, in assignments and as defaults of parameters."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                pairs = [(target, node.value)]
                if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                    pairs = list(zip(target.elts, node.value.elts, strict=False))
                yield from ((one.id, value) for one, value in pairs if isinstance(one, ast.Name))
        if isinstance(node, ast.FunctionDef) and node.args.defaults:
            positional = [*node.args.posonlyargs, *node.args.args]
            with_default = positional[-len(node.args.defaults) :]
            yield from zip((one.arg for one in with_default), node.args.defaults, strict=True)


def _texts(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Constants of a module that are texts."""
    for name, value in _assigned(tree):
        if name.isupper() and isinstance(value, ast.Constant) and isinstance(value.value, str):
            yield name, value.value


def _remedies(call: ast.Call, texts: dict[str, str]) -> Iterator[str]:
    """Remedies in words; what a place puts in is shown as three dots."""
    for keyword in call.keywords:
        if keyword.arg == "remedy":
            branches = [keyword.value]
            if isinstance(keyword.value, ast.IfExp):
                branches = [keyword.value.body, keyword.value.orelse]
            for one in branches:
                if isinstance(one, ast.Constant) and one.value:
                    yield str(one.value)
                elif isinstance(one, ast.Name) and one.id in texts:
                    yield texts[one.id]
                elif isinstance(one, ast.JoinedStr):
                    parts = [str(getattr(part, "value", "")) for part in one.values]
                    literal = [isinstance(part, ast.Constant) for part in one.values]
                    yield "".join(p if ok else "…" for p, ok in zip(parts, literal, strict=True))


def messages_page(*roots: Path) -> Iterator[str]:
    """The page: by exit code, a heading with its anchor per message."""
    yield "# Messages"
    yield ""
    yield (
        "Every message of the program, by exit code. In the program a message also names the place,"
        " what was found and what was wanted; its last line names it for"
        " `musenc messages`."
        " [Troubleshooting](../troubleshooting.md) explains those that need more than a sentence."
    )
    found = messages(*roots)
    for code in sorted({min(one.codes) for one in found.values()}):
        yield from ("", f"## Exit code {code}", "", MEANINGS[code])
        for one in sorted(found.values(), key=lambda message: message.what.lower()):
            if min(one.codes) == code:
                yield from ("", f"({anchor_of(one.what)})=", f"### {_plain(one.what)}", "")
                also = ", ".join(map(str, sorted(one.codes - {code})))
                told = [f"Do this: {_plain(text)}." for text in one.remedies]
                told += [f"Also with exit code {also}."] if also else []
                yield "\n\n".join(told)
    yield ""


def _plain(text: str) -> str:
    """Text in which nothing is markup."""
    for one in "\\`*_<>[]{}#|$":
        text = text.replace(one, f"\\{one}")
    return text.rstrip(".")
