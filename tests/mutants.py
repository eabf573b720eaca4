"""Whether the cases of every pack would notice if one of its rules or terms were another.

Usage: python3 tests/mutants.py DOMICILE [--policies DIR] [PACK ...]

Each rule is left out, its `when` is turned around, its `unless` is taken away; each term of pack.toml is made always true
and always false. `domicile policy test` must fail, or refuse the pack, each time. Prints what no case notices.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ALWAYS = "context.place.unknown || !context.place.unknown"
NEVER = "context.place.unknown && !context.place.unknown"


def walk(text, at=0):
    """Positions outside strings and comments, with how many brackets are open before each."""
    depth = 0
    while at < len(text):
        char = text[at]
        if char == '"':
            at += 1
            while text[at] != '"':
                at += 2 if text[at] == "\\" else 1
        elif text.startswith("//", at):
            at = text.index("\n", at)
        else:
            yield at, depth
            depth += (char in "({[") - (char in ")}]")
        at += 1


def rules_of(text):
    for found in re.finditer(r'^@id\("([^"]+)"\)', text, re.M):
        end = next(at for at, depth in walk(text, found.start()) if text[at] == ";" and depth == 0)
        yield found.group(1), found.start(), end + 1


def clauses_of(rule):
    """`when` or `unless`, where it begins, its body, and where it ends."""
    for at, depth in walk(rule):
        found = re.compile(r"\b(when|unless)\s*\{").match(rule, at) if depth == 0 else None
        if found:
            body = found.end()
            end = next(at for at, depth in walk(rule, body) if rule[at] == "}" and depth == 0)
            yield found.group(1), at, body, end


def mutants_of(folder):
    facts, rules = (folder / "pack.toml").read_text(), (folder / "rules.cedar").read_text()
    yield "nothing changed", facts, rules
    for name, start, end in rules_of(rules):
        rule = rules[start:end]
        yield f"{name} left out", facts, rules[:start] + rules[end:]
        for kind, begin, body, close in clauses_of(rule):
            if kind == "when":
                other = f"{rule[:body]} !({rule[body:close]}) {rule[close:]}"
                yield f"{name} with its `when` turned around", facts, rules[:start] + other + rules[end:]
            else:
                other = rule[:begin] + rule[close + 1 :]
                yield f"{name} without its `unless`", facts, rules[:start] + other + rules[end:]
    terms = facts.find("[definitions]")
    for found in re.finditer(r"^([a-z_0-9]+) = '''\n?(.*?)'''", facts, re.M | re.S) if terms >= 0 else ():
        for what, condition in [("true", ALWAYS), ("false", NEVER)]:
            other = facts[: found.start(2)] + condition + facts[found.end(2) :]
            yield f"term {found.group(1)} always {what}", other, rules


def passes(domicile, folder, facts, rules):
    with tempfile.TemporaryDirectory() as policies:
        pack = Path(policies) / folder.name
        shutil.copytree(folder, pack)
        (pack / "pack.toml").write_text(facts)
        (pack / "rules.cedar").write_text(rules)
        ran = subprocess.run([domicile, "policy", "test", "--policies", policies], capture_output=True)
    return ran.returncode == 0


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("domicile")
    options.add_argument("packs", nargs="*")
    options.add_argument("--policies", type=Path, default=Path(__file__).parent.parent / "policies")
    given = options.parse_intermixed_args()
    folders = [folder for folder in sorted(given.policies.iterdir()) if folder.is_dir()]
    folders = [folder for folder in folders if not given.packs or folder.name in given.packs]
    mutants = [(folder, *mutant) for folder in folders for mutant in mutants_of(folder)]
    with ThreadPoolExecutor(2) as pool:
        passed = list(pool.map(lambda of: passes(given.domicile, of[0], of[2], of[3]), mutants))
    wrong = 0
    for (folder, what, _, _), passed in zip(mutants, passed):
        if passed != (what == "nothing changed"):
            wrong += 1
            print(f"{folder.name}: {what}: {'no case notices' if passed else 'the pack does not pass as it is'}")
    print(f"{len(mutants)} mutants of {len(folders)} packs, {wrong} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
