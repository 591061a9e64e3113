"""What a person should know of a search beside its figures."""

from nas_controller import equal_rewards, failed_reward
from nas_controller.early_stopping import REMARK
from nas_controller.journal.journal import JournalReader

_FACTS = {"early stopping": REMARK, "rewards": equal_rewards.FACT, "failedTrial": failed_reward.FACT}


def remarks(journal: JournalReader) -> dict[str, str]:
    """What was said last, by what it is about."""
    said = {about: journal.fact(fact) for about, fact in _FACTS.items()}
    return {about: text for about, text in said.items() if text}
