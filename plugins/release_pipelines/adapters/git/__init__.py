"""Git repositories, public or with credentials; always by the ``git`` command, never a shell."""

from release_pipelines.adapters.git._command import Credentials, GitError
from release_pipelines.adapters.git.repository import Git, Revision, folder_inside

__all__ = ["Credentials", "Git", "GitError", "Revision", "folder_inside"]
