"""What `deploy/` shows and warns of is there to be seen: every metric, label and value that it names."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from ruamel.yaml import YAML

from asking import ask, define, hold, take
from capacity_gateway.kernel.capacity import Capacity
from capacity_gateway.kernel.database import Database
from capacity_gateway.kernel.sweeper import Sweeper
from conftest import Gateway

DEPLOY = Path(__file__).parents[1] / "deploy"
ALERTS = YAML(typ="safe").load((DEPLOY / "alerts.yml").read_text())
DASHBOARD = json.loads((DEPLOY / "grafana-dashboard.json").read_text())
RULES = [rule for group in ALERTS["groups"] for rule in group["rules"]]
EXPRESSIONS = {
    **{rule["alert"]: rule["expr"] for rule in RULES},
    **{
        f"{panel['title']} {target['refId']}": target["expr"]
        for panel in DASHBOARD["panels"]
        for target in panel["targets"]
    },
}


@pytest.fixture
async def told(gateway: Gateway, database: Database, capacity: Capacity) -> dict[str, set[str]]:
    """The labels of every series that a gateway tells which has done something."""
    await ask(database, define(5), take("a", 2), hold("b", 1))
    await Sweeper(database, capacity, idempotency_days=30).count_orphans()
    await gateway.send(
        'mutation { setQuota(input: {kind: COMPETITION, ref: "p", quota: 9, idempotencyKey: "k"}) { __typename } }'
    )
    text = (await gateway.http.get("http://localhost/metrics")).text
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return {sample.name: set(sample.labels) for sample in samples}


async def test_every_metric_and_label_that_is_named_exists(told: dict[str, set[str]]) -> None:
    """In alerts and panels alike; `instance` is Prometheus' own."""
    for name, expression in EXPRESSIONS.items():
        metrics = re.findall(r"\bcapacity_\w+", expression)
        labels = {label for metric in metrics for label in told.get(metric, ())} | {"instance"}
        used = {
            label
            for group in re.findall(r"by \(([^)]*)\)|\{([^}]*)\}", expression)
            for label in re.findall(r"(\w+)(?==|,|$)", ",".join(filter(None, group)).replace(" ", ""))
        }
        assert metrics, name
        assert [metric for metric in metrics if metric not in told] == [], name
        assert used - labels == set(), name


def test_a_legend_names_labels_that_are_kept() -> None:
    """One with a label that an aggregation has dropped would be empty."""
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            kept = re.findall(r"by \(([^)]*)\)", target["expr"])
            for label in re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]):
                assert label in kept[0] if kept else label == "instance", panel["title"]


def test_every_alert_says_what_is_wrong_and_how_bad_it_is() -> None:
    """In a sentence with the figures in it."""
    assert len({rule["alert"] for rule in RULES}) == len(RULES)
    assert {rule["labels"]["severity"] for rule in RULES} == {"page", "ticket"}
    assert all(rule["annotations"]["summary"] for rule in RULES)


def test_the_panels_do_not_overlap() -> None:
    """Each has a place of its own."""
    places: list[Any] = [
        (x, y)
        for panel in DASHBOARD["panels"]
        for place in [panel["gridPos"]]
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(places) == len(set(places))
