"""Placeholders and matching, as sdk/conformance/README.md has them."""

import re
from typing import Any

_NAME = re.compile(r"\$\{([a-z][a-zA-Z0-9]*|\*)\}")


class Names:
    """The values of placeholders in one scenario."""

    def __init__(self, **values: Any) -> None:
        self.values = dict(values)

    def filled(self, value: Any) -> Any:
        """What is sent, with every placeholder replaced."""
        if isinstance(value, str):
            return _NAME.sub(lambda name: str(self.values[name[1]]), value)
        if isinstance(value, list):
            return [self.filled(item) for item in value]
        if isinstance(value, dict):
            if "$repeat" in value:
                return value["$repeat"] * int(value["times"])
            return {name: self.filled(field) for name, field in value.items()}
        return value

    def match(self, wanted: Any, found: Any, where: str = "it") -> None:
        """Fails unless what was found is what is wanted."""
        if isinstance(wanted, str):
            self._match_text(wanted, found, where)
        elif isinstance(wanted, dict):
            assert isinstance(found, dict), f"{where}: {found!r} is no object"
            for name, field in wanted.items():
                if field is None and found.get(name) is None:
                    continue
                assert name in found, f"{where} has no {name}: {found!r}"
                self.match(field, found[name], f"{where}.{name}")
        elif isinstance(wanted, list):
            assert isinstance(found, list), f"{where}: {found!r} is no array"
            assert len(found) == len(wanted), f"{where}: {len(found)} for {len(wanted)}: {found!r}"
            for index, item in enumerate(wanted):
                self.match(item, found[index], f"{where}[{index}]")
        else:
            assert found == wanted and type(found) is type(wanted), f"{where}: {found!r}, not {wanted!r}"

    def _match_text(self, wanted: str, found: Any, where: str) -> None:
        whole = _NAME.fullmatch(wanted)
        if whole:
            if whole[1] != "*":
                assert self.values.setdefault(whole[1], found) == found, f"{where}: {found!r} is not {wanted}"
            return
        known = {name: str(value) for name, value in self.values.items()}
        pattern, unknown, end = "", None, 0
        for place in _NAME.finditer(wanted):
            pattern += re.escape(wanted[end : place.start()])
            name, end = place[1], place.end()
            if name in known:
                pattern += re.escape(known[name])
            else:
                assert unknown is None, f"{wanted}: more than one name is without a value"
                pattern, unknown = f"{pattern}(.+)", name
        pattern += re.escape(wanted[end:])
        match = re.fullmatch(pattern, found, re.DOTALL) if isinstance(found, str) else None
        assert match, f"{where}: {found!r} is not {wanted!r}"
        if unknown not in (None, "*"):
            self.values[str(unknown)] = match[1]
