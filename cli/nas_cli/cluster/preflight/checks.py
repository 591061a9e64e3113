"""`all_checks`: the questions in the order in which a person would ask them."""

from nas_cli.cluster.preflight.admission import check_manifest, check_namespace, check_pod_security, check_pods
from nas_cli.cluster.preflight.check import Check
from nas_cli.cluster.preflight.images import check_images, check_pull_secrets
from nas_cli.cluster.preflight.installation import check_definitions, check_operator, check_prometheus
from nas_cli.cluster.preflight.limit_ranges import check_limit_ranges
from nas_cli.cluster.preflight.quotas import check_quotas
from nas_cli.cluster.preflight.references import check_classes, check_queues, check_secret
from nas_cli.cluster.preflight.rights import check_rights
from nas_cli.cluster.preflight.room import check_room
from nas_cli.cluster.preflight.seen import Seen
from nas_cli.cluster.preflight.storage import check_data, check_journal, storage_class


def all_checks(seen: Seen) -> list[Check]:
    """Every check of what was seen."""
    demand = seen.demand
    return [
        check_definitions(seen.definition),
        check_operator(seen.operators, demand.search.metadata.namespace),
        check_namespace(seen.namespace, demand.search.metadata.namespace),
        check_rights(seen.rights, demand.search.metadata.namespace),
        check_manifest(seen.manifest, exists=demand.exists),
        *check_pods(demand, seen.pods),
        check_pod_security(seen.namespace, seen.pods),
        check_limit_ranges(demand, seen.limit_ranges),
        *check_quotas(demand, seen.quotas, seen.limit_ranges, seen.own, storage_class(demand, seen.storage)),
        *check_room(demand, seen.nodes),
        check_journal(demand, seen.storage),
        *check_data(demand, seen.storage),
        *check_secret(demand, seen.secrets),
        *check_images(demand, seen.nodes.nodes, seen.settings.image_pull_policy),
        check_pull_secrets(seen.account, seen.secrets),
        *check_classes(demand, seen.priority_classes, seen.runtime_classes),
        *check_queues(demand, seen.queues),
        check_prometheus(seen.prometheus),
    ]
