"""What the documentation's pages hold: programs, what they print, commands and links."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", flags=re.DOTALL | re.MULTILINE)
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e[+-]?\d+)?")


@dataclass(frozen=True)
class Block:
    """Some Python of a page, and what the page says that it prints (None: nothing is said)."""

    code: str
    printed: str | None


def documents() -> list[str]:
    """All pages, relative to the repository's root."""
    paths = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    return sorted(path.relative_to(ROOT).as_posix() for path in paths)


def text(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page: str) -> list[Block]:
    """The Python blocks of a page, each with the text block right behind it."""
    found: list[Block] = []
    for language, body in _BLOCK.findall(text(page)):
        if language == "python":
            found.append(Block(body, None))
        elif language == "text":
            found[-1] = Block(found[-1].code, body)
        else:
            raise ValueError(f"{page}: a block must be python or text, got {language}. Indent commands instead.")
    return found


def commands(page: str) -> list[str]:
    """The indented lines of a page that run one of the project's commands, without comments."""
    lines = re.findall(r"^    (?:\S*python )?(-m scripts\..*)$", text(page), flags=re.MULTILINE)
    return [line.removeprefix("-m ").split("#")[0].strip() for line in lines]


def links(page: str) -> list[str]:
    """Targets of a page's links and pictures inside the repository, without anchors."""
    return [target for target in re.findall(r"\]\(([^)#]+)\)", text(page)) if "://" not in target]


def same_text(said: str, printed: str, tolerance: float = 0.02) -> bool:
    """Whether two outputs have the same words, and numbers that differ by a part of `tolerance` at most.

    Numbers below 1e-6 are roundings: of these only the order of magnitude counts, and less is as good.
    """
    if _NUMBER.sub("#", said).split() != _NUMBER.sub("#", printed).split():
        return False
    pairs = zip(map(float, _NUMBER.findall(said)), map(float, _NUMBER.findall(printed)), strict=True)
    return all(abs(a - b) <= tolerance * abs(a) or (abs(a) < 1e-6 and abs(b) <= 10 * abs(a)) for a, b in pairs)
