"""``musenc messages``: every message that a user can meet, from where the program raises it."""

from __future__ import annotations

import argparse
import ast
from collections.abc import Iterable, Iterator
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
    remedies: tuple[str, ...]


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
        raise UsageError(
            "There is no such message.",
            where="musenc messages",
            found=options.name,
            wanted="the name in the last line of a message, or a part of it",
            remedy="copy the name, or give one word of the message",
        )
    for one in exact or found:
        codes = " ".join(f"Exit code {code}: {MEANINGS[code]}" for code in sorted(one.codes))
        remedies = "".join(f"\n  do this: {text}" for text in one.remedies)
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
    own = [dict(_texts(tree)) for tree in trees]
    shared = {name: text for texts in own for name, text in texts.items()}
    through = [
        one
        for tree, texts in zip(trees, own, strict=True)
        for one in _raised(tree, found, {**shared, **texts})
    ]
    names = {one.name for one in through}
    for tree in trees:
        calls = [call for call in _calls(tree) if _name(call.func) in names]
        owners = _owners(tree) if calls else {}
        for call in calls:
            for one in through:
                if _name(call.func) == one.name and (node := _argument(call, one.position)):
                    offered = [*_remedies(call, shared, owners.get(id(call)))] or one.remedies
                    for what in _sentences(node, tree) or ():
                        _add(found, what, one.code, offered)
    return found


def _raised(
    tree: ast.Module, found: dict[str, Message], texts: dict[str, str]
) -> Iterator[_Through]:
    """Add what a module raises; yield the functions that raise what they are given."""
    owners = _owners(tree)
    for call in _calls(tree):
        name = _name(call.func)
        if name not in CLASSES or not call.args:
            continue
        code, function = CLASSES[name].exit_code, owners.get(id(call))
        sentences, offered = _sentences(call.args[0], tree), (*_remedies(call, texts, function),)
        if sentences is None:
            raise ValueError(f"a message is put together: {ast.unparse(call)}")
        for what in sentences:
            _add(found, what, code, offered)
        if function is not None and isinstance(call.args[0], ast.Name):
            for position, parameter in enumerate(function.args.args):
                if parameter.arg == call.args[0].id:
                    yield _Through(function.name, position, code, offered)


def _owners(tree: ast.Module) -> dict[int, ast.FunctionDef]:
    """The innermost function that each call is in."""
    return {
        id(call): function
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef)
        for call in _calls(function)
    }


def _add(found: dict[str, Message], what: str, code: int, remedies: Iterable[str]) -> None:
    message = found.setdefault(what, Message(what))
    message.codes.add(code)
    message.remedies += [text for text in remedies if text not in message.remedies]


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


def _assigned(tree: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    """Names that values are given to, in assignments and as defaults of parameters."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                pairs = [(target, node.value)]
                if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                    pairs = list(zip(target.elts, node.value.elts, strict=False))
                yield from ((one.id, value) for one, value in pairs if isinstance(one, ast.Name))
        if isinstance(node, ast.FunctionDef):
            given = [*node.args.posonlyargs, *node.args.args]
            given = given[len(given) - len(node.args.defaults) :] + node.args.kwonlyargs
            values = [*node.args.defaults, *node.args.kw_defaults]
            for one, default in zip(given, values, strict=True):
                if default is not None:
                    yield one.arg, default


def _texts(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Constants of a module that are texts."""
    for name, value in _assigned(tree):
        if name.isupper() and isinstance(value, ast.Constant) and isinstance(value.value, str):
            yield name, value.value


def _remedies(
    call: ast.Call, texts: dict[str, str], function: ast.FunctionDef | None
) -> Iterator[str]:
    """Remedies in words; what a place puts in is shown as three dots."""
    for keyword in call.keywords:
        if keyword.arg == "remedy":
            for branch in _branches(keyword.value, function):
                if (text := _words(branch, texts)).strip("… "):
                    yield text


def _branches(node: ast.expr, function: ast.FunctionDef | None) -> list[ast.expr]:
    """What an expression, or the name of something in the function, can be."""
    if isinstance(node, ast.IfExp):
        return [*_branches(node.body, function), *_branches(node.orelse, function)]
    if isinstance(node, ast.BoolOp):
        return [branch for value in node.values for branch in _branches(value, function)]
    if isinstance(node, ast.Name) and function is not None:
        own = [value for name, value in _assigned(function) if name == node.id]
        return [branch for value in own for branch in _branches(value, None)] or [node]
    return [node]


def _words(node: ast.expr, texts: dict[str, str]) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value or "")
    if isinstance(node, ast.JoinedStr):
        return "".join(_words(part, texts) for part in node.values)
    if isinstance(node, ast.BinOp):
        return _words(node.left, texts) + _words(node.right, texts)
    return texts.get(node.id, "…") if isinstance(node, ast.Name) else "…"


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
