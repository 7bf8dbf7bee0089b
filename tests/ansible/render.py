"""Renders the templates of table.json with real Ansible, as its template module does.

    render.py           fail where the table says something else
    render.py --write   write what Ansible says into the table
"""

import json
import pathlib
import sys

import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

HERE = pathlib.Path(__file__).parent
TABLE = HERE / "table.json"


def main():
    loader = DataLoader()
    variables = loader.load_from_file(str(HERE / "variables.yml"), trusted_as_template=True)
    table = json.loads(TABLE.read_text())
    wrong = []
    for case in table:
        found = render(loader, variables, case["template"])
        if found != case.get("ansible"):
            wrong.append((case["template"], case.get("ansible"), found))
        case["ansible"] = found
    if "--write" in sys.argv:
        TABLE.write_text(json.dumps(table, indent=1, ensure_ascii=False) + "\n")
    elif wrong:
        for template, said, found in wrong:
            print(f"{template!r}\n  table: {said!r}\n  real:  {found!r}")
        sys.exit(1)
    print(f"{len(table)} templates, {len(wrong)} differ from the table")


def render(loader, variables, template):
    """What the template module would write; None where it would fail."""
    templar = Templar(loader=loader, variables=variables)
    try:
        text = templar.copy_with_new_env().template(
            trust_as_template(template), escape_backslashes=False, overrides={"trim_blocks": True, "lstrip_blocks": False}
        )
    except Exception:
        return None
    return "" if text is None else str(text)


main()
