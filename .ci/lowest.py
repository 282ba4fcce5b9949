"""Print the lowest version of every dependency that pyproject.toml declares, as a constraints file for pip."""

import re
import sys
import tomllib
from pathlib import Path

# What no one declares, and the lowest versions settle all the same: moto's boto3 must take the botocore of the lowest
# aiobotocore, and pip, left to itself, seeks it among hundreds.
_FOLLOWS = ("boto3==1.34.106",)
_DECLARED = re.compile(r"(?P<name>[\w.-]+)(?:\[[\w,-]+\])?\s*>=\s*(?P<version>[\w.]+)\s*(?P<marker>;.*)?")


def lowest_versions(pyproject: str) -> list[str]:
    """Return a constraint for each dependency, those of extras included: ``name==version``, and its marker.

    Parameters
    ----------
    pyproject : str
        Text of a pyproject.toml.

    Raises
    ------
    ValueError
        If a dependency is not declared by its lowest version alone, so that there is none to test.
    """
    project = tomllib.loads(pyproject)["project"]
    declared = list(project["dependencies"])
    for extra in project["optional-dependencies"].values():
        declared += extra
    constraints = list(_FOLLOWS)
    for each in declared:
        if each.startswith(f"{project['name']}["):  # an extra made of others, that are here in their own right
            continue
        found = _DECLARED.fullmatch(each)
        if found is None:
            message = f"pyproject.toml declares {each!r}; expected 'NAME>=VERSION': give its lowest version"
            raise ValueError(message)
        constraints.append(f"{found['name']}=={found['version']}{found['marker'] or ''}")
    return constraints


if __name__ == "__main__":
    source = Path(__file__).parents[1] / "pyproject.toml"
    sys.stdout.write("\n".join(lowest_versions(source.read_text("utf-8"))) + "\n")
