"""What a worker can train: the built-in tasks, and a user's own."""

from nas_api.spec.trainer import Trainer

from nas_child.task import Task


def load_task(trainer: Trainer) -> Task:
    """The task that `spec.trainer.task` names.

    Raises:
        TaskError: it is a `module:function` that cannot be imported.
    """
    if trainer.is_user_task:
        from nas_child.tasks.user import UserTask, import_function

        return UserTask(import_function(trainer.task))
    if trainer.task == "language-model":
        from nas_child.tasks.language_model import LanguageModelTask

        return LanguageModelTask()
    from nas_child.tasks.image_classification import ImageClassification

    return ImageClassification()
