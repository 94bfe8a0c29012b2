"""Texts of messages: templates in definition files, or in files beside them. Each is checked at its place."""

import re
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING

from transforms.messages.definitions import LOCALE_FORM, Partials, Text, Tree, locale_key
from transforms.messages.files import file_meant, partials_of
from transforms.messages.markup import MjmlMistake, check_tags, compile_mjml
from transforms.segments.document import Node, Problem, Problems

if TYPE_CHECKING:
    from transforms.messages.needs import Need

__all__ = ["TextReader"]

_LOCALE = re.compile(LOCALE_FORM)
_RENDER = re.compile(r"\{%-?\s*render\s+(['\"])(?P<name>.+?)\1(?P<arguments>.*?)-?%\}", re.DOTALL)
#: Partials of MJML nest no deeper.
_DEEPEST = 20


class TextReader:
    """Reads the texts of one message.

    Args:
      given: the names that templates may use besides their scope.
      files: the texts beside the definitions, by file.
      needs: if given, the variables that the message needs are added to it.
    """

    def __init__(
        self, given: Collection[str], files: Mapping[str, str], problems: Problems, needs: "list[Need] | None"
    ) -> None:
        self.given = given
        self.files = files
        self.problems = problems
        self.needs = needs

    def text(self, node: Node, *, mjml: bool = False, secrets: bool = False) -> Text | None:
        """A template, or a map of locales to templates."""
        if not isinstance(node.value, dict) or "file" in node.value:
            locales = {"": node}
        elif not node.value:
            self.problems.add(node, "expected text, or texts by locale such as {en: …, ja: …}; found an empty mapping")
            return None
        else:
            locales = node.value
        sources: dict[str, str] = {}
        named: dict[str, str] = {}
        for locale, child in locales.items():
            if locale and not _LOCALE.fullmatch(locale):
                self.problems.add(child, f"`{locale}` is not a locale such as en, ja or pt-BR")
            elif locale_key(locale) in sources:
                self.problems.add(child, f"the locale `{locale}` is given twice")
            elif source := self._source(child, named, mjml=mjml, secrets=secrets):
                sources[locale_key(locale)] = source
        return Text(sources, self._partials(named)) if sources or locales is node.value else None

    def tree(self, node: Node) -> Tree:
        """A JSON value; its texts are templates, none of them by locale."""
        if isinstance(node.value, dict):
            return {key: self.tree(child) for key, child in node.value.items()}
        if isinstance(node.value, list):
            return [self.tree(child) for child in node.value]
        if not isinstance(node.value, str):
            return node.value
        named: dict[str, str] = {}
        self._check(node, "", node.value, named)
        return Text({"": node.value}, self._partials(named))

    def check_literal(self, node: Node, mistake: Callable[[str], str | None]) -> None:
        """Check texts that are written out in the definitions, in each locale; texts in files are checked when they are
        sent.
        """
        if isinstance(node.value, dict):
            for child in node.value.values() if "file" not in node.value else ():
                self.check_literal(child, mistake)
        elif isinstance(node.value, str) and node.value and (cause := mistake(node.value)):
            self.problems.add(node, cause)

    def _partials(self, named: Mapping[str, str]) -> Partials:
        return tuple((name, self.files[file]) for name, file in sorted(named.items()))

    def _source(self, node: Node, named: dict[str, str], *, mjml: bool, secrets: bool) -> str | None:
        """One template; the files of its partials are added to `named`."""
        file = ""
        if isinstance(node.value, dict):
            found = self._file(node)
            if found is None:
                return None
            file, source = found, self.files[found]
        elif (written := self.problems.text(node)) is not None:
            source = written
        else:
            return None
        if not self._check(node, file, source, named, secrets=secrets) or not mjml:
            return source
        try:
            check_tags(self._expanded(source, file or node.file, flat=True))
            source = compile_mjml(self._expanded(source, file or node.file))
        except MjmlMistake as mistake:
            self._note(node, file, mistake.line, str(mistake))
        else:
            self._check(node, file, source, named, after="after MJML: ")
        return source

    def _file(self, node: Node) -> str | None:
        fields = self.problems.mapping(node, ("file",), required=("file",))
        name = self.problems.text(fields["file"]) if fields and "file" in fields else None
        if fields is None or name is None:
            return None
        file = file_meant(name, node.file, self.files)
        if file is None:
            cause = f"there is no file `{name}` in the definitions' folder, beside {node.file} or around it"
            self.problems.add(fields["file"], cause)
        elif not self.files[file].strip():
            self.problems.note(Problem(file, 1, node.path, "expected text; found an empty file"))
            return None
        return file

    def _check(
        self, node: Node, file: str, source: str, named: dict[str, str], *, secrets: bool = False, after: str = ""
    ) -> bool:
        """Note the mistakes of a template, each in its file; returns whether there are none."""
        from transforms.messages.liquid import mistakes  # noqa: PLC0415 - a tenth of a second that only messages need

        before = self.problems.mistakes
        if not after:
            try:
                mine = partials_of(source, file or node.file, self.files)
            except ValueError as error:
                self.problems.add(node, str(error))
                return False
            for name in mine.keys() & named.keys():
                if mine[name] != named[name]:
                    cause = f"`{name}` means {named[name]} and {mine[name]}: give one of them another name"
                    self.problems.add(node, cause)
            named |= mine
        for mistake in mistakes(source, self.given, secrets=secrets, partials=self._partials(named)):
            where, line = named.get(mistake.name, file), 1 if after else mistake.line
            self._note(node, where, line, f"{after}{mistake.cause}", mistake.more)
        sound = self.problems.mistakes == before
        if sound and not after and self.needs is not None:
            self._note_needs(self.needs, node, file, source, named)
        return sound

    def _note_needs(self, needs: "list[Need]", node: Node, file: str, source: str, named: Mapping[str, str]) -> None:
        from transforms.messages.needs import Need, needed  # noqa: PLC0415 - only `validate` asks

        partials = self._partials(named)
        for root, name, partial, index in needed(source, partials):
            where, text = named.get(partial, file), dict(partials).get(partial, source)
            line = text.count("\n", 0, index) + 1 if where else node.line
            needs.append(Need(node.path.split(".")[1], root, name, where or node.file, line, node.path))

    def _note(self, node: Node, file: str, line: int, cause: str, more: str = "") -> None:
        """Note a mistake in a line of a file, or of a text of the definitions; `more` goes on after the place."""
        if file:
            self.problems.note(Problem(file, line, node.path, f"{cause}{more}"))
        else:
            place = f" in line {line} of the text" if "\n" in node.value else ""
            self.problems.add(node, f"{cause}{place}{more}")

    def _expanded(self, source: str, naming: str, depth: int = 0, *, flat: bool = False) -> str:
        """MJML with its MJML partials written out, since it is compiled before anything is filled in.

        With `flat` each partial is on one line, so that what follows keeps its line.
        """
        if depth > _DEEPEST:
            raise MjmlMistake(f"partials nest more than {_DEEPEST} deep", 1)

        def expand(match: re.Match[str]) -> str:
            file = file_meant(match["name"], naming, self.files)
            if file is None or "<mj-" not in self.files[file]:
                return match[0]
            if match["arguments"].strip(" ,\n\t"):
                raise MjmlMistake(f"`{match['name']}` holds MJML, so that it takes no arguments", 1)
            written = self._expanded(self.files[file], file, depth + 1, flat=flat)
            return written.replace("\n", " ") if flat else written

        return _RENDER.sub(expand, source)
