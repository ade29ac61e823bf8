"""Which commit a version is, and how its files are had."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from release_pipelines.adapters.git import Credentials, Git, GitError, folder_inside
from release_pipelines.core.errors import PlatformUnavailable
from tests.adapters.history.conftest import free_port
from tests.repositories import commit, git, served, with_submodule


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    return tmp_path / "shop"


def test_a_tag_goes_before_the_branch(shop: Path) -> None:
    tagged = commit(shop, {"a": "1"}, "v1.0.0")
    plain = commit(shop, {"a": "2"}, "1.1.0")
    newest = commit(shop, {"a": "3"})
    repository = Git(str(shop))
    assert repository.resolve("1.0.0", "main").commit == tagged  # the commit, not the annotated tag's own object
    assert repository.resolve("1.1.0", "main").commit == plain
    found = repository.resolve("2.0.0", "main")
    assert (found.commit, found.ref) == (newest, "refs/heads/main")


def test_a_commit_is_a_version(shop: Path) -> None:
    first = commit(shop, {"a": "1"})
    commit(shop, {"a": "2"})
    repository = Git(str(shop))
    assert repository.resolve(first, "main").commit == first
    assert repository.resolve(first[:9], "main").commit == first
    with pytest.raises(GitError, match="no commit that begins with 0000000"):
        repository.resolve("0000000", "main")


@pytest.mark.parametrize(("version", "scheme"), [("20261123", "date"), ("20261123", None), ("20261123.2", "date")])
def test_a_day_is_no_commit(shop: Path, version: str, scheme: str | None) -> None:
    newest = commit(shop, {"a": "1"}, "v1.0.0")
    found = Git(str(shop)).resolve(version, scheme=scheme)
    assert (found.commit, found.doubt) == (newest, None)
    assert found.source == f"newest commit of branch main, {newest[:12]}: no tag carries {version}"


def test_eight_digits_are_a_commit_where_versions_are_commits(shop: Path) -> None:
    commit(shop, {"a": "1"})
    with pytest.raises(GitError, match="no commit that begins with 20261123"):
        Git(str(shop)).resolve("20261123", scheme="commit")


def test_a_version_without_a_tag_is_not_built_from_a_branch_where_versions_have_tags(shop: Path) -> None:  # R1
    commit(shop, {"a": "1"}, "v1.0.0", "2019-backup")
    newest = commit(shop, {"a": "2"})
    repository = Git(str(shop))
    with pytest.raises(
        GitError, match=r"no tag of version 9\.9\.9: push v9\.9\.9 or 9\.9\.9, .* `build\.branch: main`"
    ):
        repository.resolve("9.9.9")
    assert repository.resolve("9.9.9", "main").commit == newest
    with pytest.raises(GitError, match="has neither a tag v9"):
        repository.resolve("9.9.9", "release/{version}")


def test_a_repository_without_tags_of_versions_is_built_from_main_with_a_doubt(shop: Path) -> None:
    newest = commit(shop, {"a": "1"}, "2019-backup", "stable")
    found = Git(str(shop)).resolve("1.0.0")
    assert (found.commit, found.ref) == (newest, "refs/heads/main")
    assert "Say so with `build.branch: main`" in str(found.doubt)
    with pytest.raises(GitError, match=r"no tag of version 1\.0\.0: push r1\.0\.0,"):
        Git(str(shop)).resolve("1.0.0", tags=["r{version}"])


@pytest.mark.parametrize(
    "tag", ["v1.2.0", "1.2.0", "cart-v1.2.0", "cart/v1.2.0", "cart@1.2.0", "release/1.2.0", "release-1.2.0"]
)
def test_the_usual_tags_are_found(shop: Path, tag: str) -> None:
    tagged = commit(shop, {"a": "1"}, "wish-v1.2.0", tag)
    commit(shop, {"a": "2"}, "cart-v1.2.0-rc.1")
    found = Git(str(shop)).resolve("1.2.0", app="cart")
    assert (found.commit, found.source) == (tagged, f"tag {tag}, {tagged[:12]}")


def test_another_apps_tag_is_not_taken(shop: Path) -> None:
    commit(shop, {"a": "1"}, "cart-v1.2.0")
    commit(shop, {"a": "2"}, "wish-v1.1.0")
    with pytest.raises(GitError, match="no tag of version"):
        Git(str(shop)).resolve("1.2.0", app="wish")


def test_of_two_usual_tags_the_first_counts_with_a_doubt(shop: Path) -> None:
    commit(shop, {"a": "1"}, "1.2.0", "release-1.2.0")
    first = commit(shop, {"a": "2"}, "v1.2.0")
    found = Git(str(shop)).resolve("1.2.0", app="cart")
    assert (found.commit, found.ref) == (first, "refs/tags/v1.2.0")
    assert "v1.2.0 (" in str(found.doubt)
    assert str(found.doubt).endswith("The first one is built: say how the app's tags are called with `build.tag`.")


def test_an_apps_own_tag_that_names_another_commit_than_the_usual_one_is_refused(shop: Path) -> None:
    commit(shop, {"a": "1"}, "v1.2.0")
    own = commit(shop, {"a": "2"}, "cart-v1.2.0")
    repository = Git(str(shop))
    with pytest.raises(GitError, match=r"v1\.2\.0 \(\w{12}\) and cart-v1\.2\.0 \(\w{12}\): .* `build\.tag`"):
        repository.resolve("1.2.0", app="cart")
    assert repository.resolve("1.2.0", app="cart", tags=["{app}-v{version}"]).commit == own


def test_a_version_that_is_nowhere_is_a_sentence(shop: Path) -> None:  # R12
    commit(shop, {"a": "1"})
    with pytest.raises(GitError, match=r"neither a tag v9\.9\.9 or 9\.9\.9 nor a branch trunk"):
        Git(str(shop)).resolve("9.9.9", "trunk")


def test_the_files_of_the_commit_are_checked_out_and_go_away(shop: Path) -> None:
    first = commit(shop, {"a": "1"})
    commit(shop, {"a": "2"})
    repository = Git(str(shop))
    with repository.checkout(first) as folder:
        assert (folder / "a").read_text() == "1"
        assert repository.commit_time(folder) == git(shop, "show", "-s", "--format=%cI", first)
    assert not folder.exists()
    with pytest.raises(GitError, match="has no commit 1111"), repository.checkout("1" * 40):
        pass


def test_a_password_in_an_address_is_not_shown() -> None:  # R11
    url = f"http://ann:hunter2@127.0.0.1:{free_port()}/shop.git"
    with pytest.raises(PlatformUnavailable, match="cannot be reached") as caught:
        Git(url).resolve("1.0.0", "main")
    assert "hunter2" not in str(caught.value)


def test_a_folder_that_is_no_repository_is_named(tmp_path: Path) -> None:
    with pytest.raises(GitError, match=f"Git could not read {tmp_path}"):
        Git(str(tmp_path)).resolve("1.0.0", "main")


def test_a_repository_that_does_not_exist_is_named_with_what_is_expected(tmp_path: Path, shop: Path) -> None:  # R12
    with pytest.raises(GitError) as caught:
        Git(str(tmp_path / "nowhere")).resolve("1.0.0")
    assert str(caught.value) == (
        f"Git could not read {tmp_path}/nowhere: this worker has no such folder, and an address begins with https://, say."
    )
    commit(shop, {"a": "1"}, "v1.0.0")
    with served(shop, "ann", "hunter2") as url:
        missing = url.replace("shop.git", "shpo.git")
        with pytest.raises(GitError) as caught:
            Git(missing, Credentials("ann", "hunter2", "connection code")).resolve("1.0.0")
    assert str(caught.value) == (
        f"Git could not read {missing}: there is no such repository, or it may not be read (connection code)."
    )


def test_a_scheme_that_the_workers_git_cannot_fetch_is_named() -> None:  # R12
    with pytest.raises(GitError) as caught:
        Git("gopher://127.0.0.1/shop").resolve("1.0.0")
    assert str(caught.value) == "Git could not read gopher://127.0.0.1/shop: Git on this worker cannot fetch by gopher."


def test_a_repository_cannot_be_an_option(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(shop.parent)
    with pytest.raises(GitError):
        Git("--upload-pack=touch pwned").resolve("1.0.0", "main")
    assert "pwned" not in os.listdir()


def test_a_context_stays_inside_the_repository(tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "Dockerfile").touch()
    assert folder_inside(tmp_path, "app", "Dockerfile") == tmp_path / "app"
    with pytest.raises(ValueError, match="outside the repository"):
        folder_inside(tmp_path, "../..")
    with pytest.raises(ValueError, match="no such folder"):
        folder_inside(tmp_path, "nothing")
    with pytest.raises(ValueError, match="no such file in app"):
        folder_inside(tmp_path, "app", "Containerfile")


@pytest.fixture
def parts(tmp_path: Path) -> Callable[[str], tuple[Path, str]]:
    """Makes a repository that others have as a submodule; gives its folder and commit."""

    def made(name: str) -> tuple[Path, str]:
        folder = tmp_path / name
        return folder, commit(folder, {f"{name}.txt": name})

    return made


def test_submodules_are_there_also_nested_and_relative_ones(
    shop: Path, parts: Callable[[str], tuple[Path, str]]
) -> None:
    _, deep = parts("deep")
    lib, _ = parts("lib")
    middle = with_submodule(lib, "inner/deep", "../deep", deep)
    commit(shop, {"a": "1"})
    newest = with_submodule(shop, "vendor/lib", "../lib", middle)
    commit(lib, {"lib.txt": "later"})
    with Git(str(shop)).checkout(newest) as folder:
        assert (folder / "vendor/lib/lib.txt").read_text() == "lib"
        assert (folder / "vendor/lib/inner/deep/deep.txt").read_text() == "deep"


def test_submodules_are_fetched_where_they_are_needed_only(
    shop: Path, parts: Callable[[str], tuple[Path, str]]
) -> None:
    _, lib = parts("lib")
    commit(shop, {"app/a": "1"})
    with_submodule(shop, "app/unwanted", "../nowhere", lib, update="none")
    with_submodule(shop, "docs/theme", "../nowhere", lib)
    newest = with_submodule(shop, "app/lib", "../lib", lib)
    with Git(str(shop)).checkout(newest, "app") as folder:
        assert (folder / "app/lib/lib.txt").exists()
        assert list((folder / "docs/theme").iterdir()) == []
    with (
        pytest.raises(
            GitError, match=r"^Submodule docs/theme of .*/shop cannot be had: Git could not read .*/nowhere: "
        ),
        Git(str(shop)).checkout(newest),
    ):
        pass


def test_a_submodule_without_an_address_is_named(shop: Path, parts: Callable[[str], tuple[Path, str]]) -> None:
    _, lib = parts("lib")
    commit(shop, {"a": "1"})
    git(shop, "update-index", "--add", "--cacheinfo", f"160000,{lib},lib")
    git(shop, "commit", "--quiet", "-m", "By mistake")
    newest = git(shop, "rev-parse", "HEAD")
    with pytest.raises(GitError, match=r"Submodule lib of .* has no `url`"), Git(str(shop)).checkout(newest):
        pass


def test_credentials_are_for_submodules_of_the_same_host_only(
    shop: Path, tmp_path: Path, parts: Callable[[str], tuple[Path, str]]
) -> None:  # R11
    seen: list[str] = []
    lib, wanted = parts("lib")
    elsewhere, _ = parts("elsewhere")
    commit(shop, {"a": "1"})
    with_submodule(shop, "lib", "../lib.git", wanted)
    ann = Credentials("ann", "hunter2", "connection code")
    newest = with_submodule(shop, "more", "git@127.0.0.1:lib.git", wanted)  # read as the repository itself is
    with served(shop, "ann", "hunter2", lib) as url, Git(url, ann).checkout(newest) as folder:
        assert (folder / "lib/lib.txt").read_text() == (folder / "more/lib.txt").read_text() == "lib"
    with served(elsewhere, "bob", "secret", seen=seen) as other:
        newest = with_submodule(shop, "other", other, wanted)
        shop.rename(tmp_path / "shop2")
        with (
            served(tmp_path / "shop2", "ann", "hunter2", lib) as url,
            pytest.raises(GitError, match=r"^Submodule other of .* refuses to be read \(no Git connection is given\)"),
            Git(url, ann).checkout(newest),
        ):
            pass
    assert seen == []


@pytest.mark.parametrize("url", ["{lib}", "file://{lib}", "ext::sh -c touch% {lib}/pwned"])
def test_a_repository_of_the_network_names_no_folder_and_no_program_of_this_machine(
    shop: Path, parts: Callable[[str], tuple[Path, str]], url: str
) -> None:
    lib, wanted = parts("lib")
    commit(shop, {"a": "1"})
    newest = with_submodule(shop, "lib", url.format(lib=lib), wanted)
    ann = Credentials("ann", "hunter2", "connection code")
    with (
        served(shop, "ann", "hunter2") as address,
        pytest.raises(GitError, match=r"Submodule lib of .* not allowed"),
        Git(address, ann).checkout(newest),
    ):
        pass
    assert not (lib / "pwned").exists()


def test_a_hook_of_the_workers_own_git_does_not_run(
    shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook = tmp_path / "hooks" / "post-checkout"
    hook.parent.mkdir()
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/pwned\n")
    hook.chmod(0o755)
    (tmp_path / "gitconfig").write_text(f"[core]\n\thooksPath = {hook.parent}\n")
    newest = commit(shop, {"a": "1"})
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    with Git(str(shop)).checkout(newest):
        assert not (tmp_path / "pwned").exists()
    git(shop, "checkout", "--quiet", "--detach")
    assert (tmp_path / "pwned").exists()


POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
LFS_FILES = {
    ".gitattributes": "*.bin filter=lfs diff=lfs merge=lfs -text\n",
    "app/model.bin": POINTER,
    "docs/a.bin": POINTER,
}
LFS = """\
#!/bin/sh
# Stands for git-lfs: says how it was called, and puts files in the place of their pointers.
printf '%s|%s\\n' "$*" "$(git config remote.origin.url)" > {called}
case "$*" in *app*) printf 'the model' > app/model.bin ;; esac
"""


def test_files_in_lfs_need_the_command_that_fetches_them(
    shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    newest = commit(shop, LFS_FILES)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "git").symlink_to("/usr/bin/git")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    repository = Git(str(shop))
    with (
        pytest.raises(GitError, match=r"has app/model\.bin and 1 more in Git LFS, and the command git-lfs is missing"),
        repository.checkout(newest),
    ):
        pass
    with repository.checkout(newest, lfs=False) as folder:
        assert (folder / "app/model.bin").read_text() == POINTER
    with repository.checkout(newest, "elsewhere"):
        pass


def test_files_in_lfs_take_the_place_of_their_pointers(
    shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    newest = commit(shop, LFS_FILES)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "git-lfs").write_text(LFS.format(called=tmp_path / "called"))
    (tmp_path / "bin" / "git-lfs").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    repository = Git(str(shop))
    with repository.checkout(newest, "app") as folder:
        assert (folder / "app/model.bin").read_text() == "the model"
    assert (tmp_path / "called").read_text() == f"pull --include app,app/** origin|{shop}\n"
    with (
        pytest.raises(GitError, match=r"after `git lfs pull` app/model\.bin is still a pointer"),
        repository.checkout(newest),
    ):
        pass


def test_lfs_leads_to_no_folder_of_this_machine(shop: Path, tmp_path: Path) -> None:
    newest = commit(shop, {**LFS_FILES, ".lfsconfig": f"[lfs]\n\turl = file://{tmp_path}\n"})
    ann = Credentials("ann", "hunter2", "connection code")
    with (
        served(shop, "ann", "hunter2") as address,
        pytest.raises(GitError, match=r"in Git LFS at file://.*: an address with https is expected in \.lfsconfig"),
        Git(address, ann).checkout(newest),
    ):
        pass


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        ("Username for 'https://git.example.org': ", "ann\n"),
        ("Password for 'https://ann@git.example.org': ", "hunter2\n"),
        ('Password for "https://ann@git.example.org/shop.git/info/lfs": ', "hunter2\n"),
        ("Password for 'https://ann@evil.example': ", ""),
        ("Password for 'http://ann@git.example.org': ", ""),
        ("Password for 'https://git.example.org/@evil.example': ", ""),
        ("Password for 'https://x@git.example.org@evil.example': ", ""),
        ("Password for 'https://x'@evil.example': ", ""),
        ('Password for "https://git.example.org@evil.example/git.example.org": ', ""),
        ("Are you sure (yes/no)? ", ""),
    ],
)
def test_credentials_are_given_to_their_own_host_only(asked: str, answer: str) -> None:  # R11
    repository = Git("https://git.example.org/shop.git", Credentials("ann", "hunter2", "connection code"))
    with repository._environment() as env:
        said = subprocess.run([env["GIT_ASKPASS"], asked], env=env, capture_output=True, text=True)
    assert (said.stdout, said.returncode == 0) == (answer, bool(answer))


def test_the_head_of_a_branch_and_the_commits_of_tags(shop: Path) -> None:
    first = commit(shop, {"a": "1"}, "v1.9.0", "nightly")
    second = commit(shop, {"a": "2"}, "v1.10.0")
    repository = Git(str(shop))
    assert repository.head("main") == second
    assert repository.head("mai") is None
    assert repository.tags() == {
        "v1.10.0": second,
        "v1.9.0": first,
        "nightly": first,
    }  # not an annotated tag's own object


def test_which_commit_comes_before_which(shop: Path) -> None:
    first = commit(shop, {"a": "1"})
    second = commit(shop, {"a": "2"})
    git(shop, "checkout", "--quiet", "--orphan", "other")
    apart = commit(shop, {"b": "1"})
    with Git(str(shop)).ancestry() as is_ancestor:
        assert is_ancestor(first, second)
        assert is_ancestor(first, first)
        assert not is_ancestor(second, first)
        assert not is_ancestor(first, apart)
        assert not is_ancestor("0" * 40, second)
        assert not is_ancestor("--all", second)


def test_the_order_of_commits_is_had_with_a_password(shop: Path) -> None:
    first = commit(shop, {"a": "1"})
    second = commit(shop, {"a": "2"})
    with served(shop, "ann", "hunter2") as url:
        repository = Git(url, Credentials("ann", "hunter2", "connection code"))
        assert repository.head("main") == second
        with repository.ancestry() as is_ancestor:
            assert is_ancestor(first, second)


def test_what_commits_bring_over_another_one(shop: Path) -> None:
    first = commit(shop, {"a": "1"})
    commit(shop, {"b c": "1", "a": "2"})
    last = commit(shop, {"d/é\n": "1", "a": "1"})
    with served(shop, "ann", "hunter2") as url:
        for repository in (Git(str(shop)), Git(url, Credentials("ann", "hunter2", "connection code"))):
            brought = repository.brought(first, last)
            assert brought.authors == [("Ann", "ann@example.org")] * 2
            assert brought.files == ["b c", "d/é\n"]  # `a` is as it was
    with pytest.raises(GitError):
        Git(str(shop)).brought("0" * 40, last)
