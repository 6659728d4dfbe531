"""What the site needs beyond its pages: the README and its neighbours, to which pages link one folder up."""

from pathlib import Path

from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parents[1]
NEIGHBOURS = {"README.md": "readme.md", "CONTRIBUTING.md": "contributing.md"}


def on_files(files, config):
    """Adds them as pages beside the others."""
    for source, page in NEIGHBOURS.items():
        text = (ROOT / source).read_text(encoding="utf-8").replace("](docs/", "](")
        for other, its_page in NEIGHBOURS.items():
            text = text.replace(f"]({other}", f"]({its_page}")
        text = text.replace("[CHANGELOG.md](CHANGELOG.md)", "CHANGELOG.md").replace("[LICENSE](LICENSE)", "LICENSE")
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown, page, config, files):
    """Leads links out of the folder to those pages."""
    up = "../" * page.file.src_uri.count("/")
    for source, target in NEIGHBOURS.items():
        markdown = markdown.replace(f"]({up}../{source}", f"]({up}{target}")
    return markdown
