"""Whatever happens in whatever order: no training is cut short, no slot has two workers, and all ends as it should.

Hypothesis invents histories. The operator is killed in the middle of plans, and acts on what it saw a while ago; pods,
nodes and controllers die; a user scales, edits and suspends.
"""

from dataclasses import replace
from datetime import timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from nas_operator.actions import Create
from nas_operator.names import POOL_LABEL
from nas_operator.observed import Observed
from nas_operator.planning.objects import parse_time
from nas_operator.planning.plan import plan

from tests.unit.operator.planning.simulated_cluster import SimulatedCluster, is_draining, slot_of

POOLS = ("gpus", "spot")
REPLICAS = {"gpus": 3, "spot": 1}
DRAIN_TIMEOUT = timedelta(minutes=10)
IMAGES = (None, "mine/child:2", "mine/child:3")


class Disturbances(RuleBasedStateMachine):
    """One search with two pools."""

    def __init__(self) -> None:
        super().__init__()
        self.cluster = SimulatedCluster()
        self.seen: list[Observed] = []
        self.listed = dict(REPLICAS)
        self.wanted = dict(REPLICAS)
        # Whether the operator has acted on what was not so any more: then doubles may exist for a while.
        self.misled = False

    @initialize(settled=st.booleans(), budget=st.sampled_from([2, 8, 1000]))
    def begin(self, settled: bool, budget: int) -> None:
        self.edit(budget={"maxTrials": budget})
        if settled:
            self.cluster.settle()

    def edit(self, **spec: object) -> None:
        pools = [{"name": name, "replicas": replicas, "drainTimeout": "10m"} for name, replicas in self.listed.items()]
        self.cluster.edit(pools=pools, controller={"ttlAfterFinished": "5m"}, **spec)

    # The user. ------------------------------------------------------------------------------------------------------

    @rule(pool=st.sampled_from(POOLS), replicas=st.integers(0, 5))
    def scale(self, pool: str, replicas: int) -> None:
        if self.scaled(pool) is not None:
            self.cluster.scale(pool, replicas)
            self.wanted[pool] = replicas

    def scaled(self, pool: str) -> int | None:
        """Replicas of a NASPool that the operator has brought up to what the search lists now."""
        observed = self.cluster.pools.get(f"digits-{pool}")
        if observed is None:
            return None
        annotated = observed["metadata"]["annotations"]["kubenas.dev/replicas-of-search"]
        replicas: int = observed["spec"]["replicas"]
        return replicas if annotated == str(self.listed.get(pool)) else None

    @rule(pool=st.sampled_from(POOLS), replicas=st.integers(0, 5))
    def list_pool(self, pool: str, replicas: int) -> None:
        if self.listed.get(pool) != replicas:
            self.listed[pool] = replicas
            # An edit that is undone before the operator has seen it is none: what was scaled stays so.
            scaled = self.scaled(pool)
            self.wanted[pool] = replicas if scaled is None else scaled
            self.edit()

    @rule()
    def list_one_pool_less(self) -> None:
        if len(self.listed) == 2:
            self.listed.pop("spot")
            self.wanted.pop("spot", None)
            self.edit()

    @rule(image=st.sampled_from(IMAGES))
    def change_image(self, image: str | None) -> None:
        self.edit(trainer={"image": image} if image else {})

    @rule(suspend=st.booleans())
    def suspend(self, suspend: bool) -> None:
        self.edit(suspend=suspend)

    @rule(more=st.integers(1, 50))
    def raise_budget(self, more: int) -> None:
        self.edit(budget={"maxTrials": self.cluster.finished + more})

    # The cluster. ---------------------------------------------------------------------------------------------------

    @rule()
    def work(self) -> None:
        self.cluster.work()

    @rule(seconds=st.sampled_from([1, 10, 40, 300, 700]))
    def tick(self, seconds: int) -> None:
        self.cluster.tick(seconds)

    @precondition(lambda self: self.cluster.workers)
    @rule(data=st.data())
    def finish_trial(self, data: st.DataObject) -> None:
        self.cluster.finish_trial(data.draw(st.sampled_from(sorted(self.cluster.workers))))

    @precondition(lambda self: self.cluster.pods)
    @rule(data=st.data())
    def lose_pod(self, data: st.DataObject) -> None:
        self.cluster.lose_pod(data.draw(st.sampled_from(sorted(self.cluster.pods))))

    @precondition(lambda self: self.cluster.workers)
    @rule(data=st.data(), code=st.sampled_from([0, 1, 78, 137]))
    def end_pod(self, data: st.DataObject, code: int) -> None:
        self.cluster.end_pod(data.draw(st.sampled_from(sorted(self.cluster.workers))), code, "the last words")

    @precondition(lambda self: self.cluster.jobs)
    @rule(data=st.data())
    def delete_job(self, data: st.DataObject) -> None:
        """Somebody does, without asking."""
        name = data.draw(st.sampled_from(sorted(self.cluster.jobs)))
        for pod in self.cluster.pods_of(name):
            self.cluster.lose_pod(pod["metadata"]["name"])
        del self.cluster.jobs[name]

    @rule(unusable=st.booleans())
    def make_workers_unusable(self, unusable: bool) -> None:
        self.cluster.unusable = {""} if unusable else set()

    @rule(room=st.none() | st.integers(0, 4))
    def change_room(self, room: int | None) -> None:
        self.cluster.room = room

    @rule(most=st.none() | st.integers(0, 4))
    def change_quota(self, most: int | None) -> None:
        self.cluster.most_jobs = most

    @rule(pulled=st.booleans())
    def lose_registry(self, pulled: bool) -> None:
        self.cluster.waiting = {} if pulled else {"": ("ErrImagePull", "not found")}

    @rule(what=st.sampled_from(["stateful_set", "service"]))
    def delete_controller(self, what: str) -> None:
        self.cluster.stop_controller()
        setattr(self.cluster, what, None)

    @rule()
    def kill_controller(self) -> None:
        self.cluster.stop_controller()

    # The operator. --------------------------------------------------------------------------------------------------

    @rule()
    def reconcile(self) -> None:
        made = self.cluster.reconcile()
        created = [action.manifest["metadata"]["labels"] for action in made.actions if isinstance(action, Create)]
        grown = {labels[POOL_LABEL] for labels in created}
        for pool in self.cluster.pools.values():
            name = pool["spec"]["pool"]
            wanted = self.wanted.get(name, 0) if self.runs else 0
            assert len(self.cluster.slots(name)) <= wanted
            # Those that are on their way out hold a GPU still: no worker is made to wait for it.
            assert name not in grown or len(self.cluster.live_jobs(name)) <= wanted

    @rule()
    def go_on(self) -> None:
        for _ in range(3):
            self.reconcile()
            self.cluster.work()
            self.cluster.tick(1)

    @rule(fraction=st.floats(0, 1))
    def be_killed_in_the_middle(self, fraction: float) -> None:
        actions = self.cluster.plan().actions
        self.cluster.apply(actions[: int(len(actions) * fraction)])

    @rule(pods=st.booleans())
    def look(self, pods: bool) -> None:
        self.seen.append(self.cluster.observe(pods=pods))

    @precondition(lambda self: self.seen)
    @rule(old=st.sampled_from(["everything", "jobs", "summary", "pools"]), data=st.data())
    def act_on_what_was_seen(self, old: str, data: st.DataObject) -> None:
        then = data.draw(st.sampled_from(self.seen))
        now = self.cluster.observe()
        observed = {
            "everything": then,
            "jobs": replace(now, jobs=then.jobs),
            "summary": replace(now, summary=then.summary),
            "pools": replace(now, pools=then.pools, search=then.search),
        }[old]
        self.cluster.apply(plan(observed, self.cluster.settings, self.cluster.now).actions)
        self.misled = True
        self.cluster.cut_leases.clear()

    # What holds. ----------------------------------------------------------------------------------------------------

    @property
    def runs(self) -> bool:
        return not self.cluster.model.spec.suspend and self.cluster.finished < self.cluster.max_trials

    @invariant()
    def no_slot_has_two_workers(self) -> None:
        if not self.misled:
            for pool in POOLS:
                slots = [slot_of(job) for job in self.cluster.live_jobs(pool)]
                assert len(slots) == len(set(slots))

    @invariant()
    def no_training_is_cut_short(self) -> None:
        for since in self.cluster.cut_leases:
            asked_at = parse_time(since)
            assert asked_at is not None
            assert self.cluster.now - asked_at >= DRAIN_TIMEOUT
        self.cluster.cut_leases.clear()

    def teardown(self) -> None:
        """Nothing more happens, and after a while all is as it should be."""
        cluster = self.cluster
        cluster.unusable, cluster.waiting, cluster.room, cluster.most_jobs = set(), {}, None, None
        for _ in range(12):
            cluster.settle(rounds=200, seconds=5)
            cluster.finish_trials()
            cluster.tick(120)
        if not self.runs:  # the last trial that counted may have found others in training
            cluster.finish_trials()
        cluster.settle(rounds=200, seconds=5)
        assert set(cluster.pools) == {f"digits-{pool}" for pool in self.listed}
        certificates = {name for name in cluster.secrets if name.startswith("digits-pool-")}
        assert certificates == {f"digits-pool-{pool}-tls" for pool in self.listed}
        for pool in POOLS:
            wanted = self.wanted.get(pool, 0) if self.runs else 0
            jobs = cluster.live_jobs(pool)
            assert len(jobs) == wanted
            assert len({slot_of(job) for job in jobs}) == wanted
            assert not any(is_draining(job) for job in jobs)
            assert set(cluster.images(pool)) <= {
                cluster.search["spec"].get("trainer", {}).get("image", "kubenas/child:1")
            }
            if pool in self.listed:
                assert cluster.condition("Ready", pool)["status"] == "True"
                assert cluster.pools[f"digits-{pool}"]["status"].get("readyReplicas") == wanted
        assert sum(len(cluster.live_jobs(pool)) for pool in POOLS) == len(cluster.jobs)
        assert cluster.condition("Ready")["status"] == "True"
        assert cluster.plan().actions == ()
        assert not cluster.plan().look_closer


TestDisturbances = Disturbances.TestCase
TestDisturbances.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
