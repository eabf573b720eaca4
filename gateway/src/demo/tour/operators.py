"""What operators and those who let them in see: owners, accounts, the page of a node."""

import json
import time
import urllib.request

from clients import expect, expect_that, mebibytes


def a_new_owner_makes_two_operators_count_as_one_at_once_and_the_log_says_so(demo):
    since = demo.log_size()
    pair = ["cn-7", "cn-8"]
    for name in pair:
        reached = record(demo, f"storage-{name}", [("buyer", 5100)])
        expect(f"operators below storage-{name}", [f"operator-{name}"], reached["operators"])
    try:
        expect("controllers of both", ["buyer", "buyer"], controllers(demo, pair))
        changes = [entry for entry in demo.entries(since, "--kind", "fleet") if entry.get("what") == "operator-changed"]
        expect("changes in the log", 2, len(changes))
        expect_that("who did it is a commitment", all(len(change["by"]) == 64 for change in changes), changes)
    finally:
        for name in pair:
            record(demo, f"storage-{name}", [])
    expect("controllers afterwards", [f"controller-{name}" for name in pair], controllers(demo, pair))
    refused = demo.domicile("fleet", "record", written(demo, "storage-cn-7", [("a", 6000), ("b", 6000)]), fails=True)
    expect_that("60% and 60% are refused", "12000" in refused, refused)
    yield "two operators with one parent had one controller, until the shares were sold again; owners with 60% and 60% were refused"


def both_sides_come_to_the_same_account_of_what_nodes_kept_and_served(demo):
    month = time.strftime("%Y-%m", time.gmtime())
    statement = demo.json("fleet", "statement", month)
    expect("nodes with a statement", len(demo.nodes), sum(1 for row in statement["nodes"] if row["theirs"]))
    differing = {demo.names[row["node"]]: row["differences"] for row in statement["nodes"] if row["differences"]}
    expect("nodes whose account differs", {}, differing)
    served = sum(row["ours"]["served_bytes"] for row in statement["nodes"])
    held = sum(row["ours"]["held_bytes"] for row in statement["nodes"])
    expect_that("something was kept and served", served > 0 and held > 0, (served, held))
    csv = demo.domicile("fleet", "statement", month, "--csv", "--operator", "operator-cn-1").splitlines()
    expect("lines of one operator's CSV", 2, len(csv))
    yield f"{mebibytes(held)} held and {mebibytes(served)} served this month, by the gateway's count and by the nodes' signed ones"


def an_operator_sees_how_the_node_stands_on_its_own_machine(demo):
    name = "cn-1"
    node = demo.nodes[name]
    status = json.loads(demo.domicile("node", "status", "--config", node["config_file"], "--json"))
    expect("the node", node["id"], status["status"]["node"])
    page = f"http://{node['address'].rsplit(':', 1)[0]}:7480"
    html, metrics = text(f"{page}/"), text(f"{page}/metrics")
    expect_that("the page names the node", node["id"] in html and "Earned so far" in html, html[:300])
    expect_that("the metrics count shards", "domicile_node_shards " in metrics, metrics[:300])
    yield f"{status['status']['shards']} shards, by command, page and metrics"


def record(demo, party, owners):
    return demo.json("fleet", "record", written(demo, party, owners))


def written(demo, party, owners):
    """A file with the record of a party in China that is owned so."""
    source = '{ source = "register", as_of = "2026-01-31", confidence = "verified" }'
    lines = [f'id = "{party}"', f'name = "{party} Ltd"', 'incorporated = "CN"', 'headquartered = "CN"', f"from = {source}"]
    for owner, share in owners:
        lines += ["[[owner]]", f'id = "{owner}"', 'place = "CN"', f"share_basis_points = {share}", f"from = {source}"]
    path = demo.folder / f"{party}.toml"
    path.write_text("\n".join(lines))
    return str(path)


def controllers(demo, names):
    nodes = {demo.names[node["node"]]: node["controller"] for node in demo.json("nodes")}
    return [nodes[name] for name in names]


def text(url):
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=30) as response:
        return response.read().decode()


STEPS = [
    a_new_owner_makes_two_operators_count_as_one_at_once_and_the_log_says_so,
    both_sides_come_to_the_same_account_of_what_nodes_kept_and_served,
    an_operator_sees_how_the_node_stands_on_its_own_machine,
]
