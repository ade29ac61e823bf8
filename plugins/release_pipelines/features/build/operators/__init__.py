"""From a version to a digest: find the commit, test and build the image, push it; or look up an image that exists."""

from release_pipelines.features.build.operators.build_image import ImageBuildOperator, ImageTestOperator
from release_pipelines.features.build.operators.copy_image import ImageCopyOperator
from release_pipelines.features.build.operators.push_image import ImagePushOperator
from release_pipelines.features.build.operators.resolve_commit import ResolveCommitOperator
from release_pipelines.features.build.operators.resolve_digest import ResolveDigestOperator

__all__ = [
    "ImageBuildOperator",
    "ImageCopyOperator",
    "ImagePushOperator",
    "ImageTestOperator",
    "ResolveCommitOperator",
    "ResolveDigestOperator",
]
