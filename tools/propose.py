"""Propose the upgraded locks as a pull request.

    python3 tools/propose.py

Git's remote `origin` gets a branch with them, in place of what was proposed earlier, and the
GitHub CLI, whose GH_TOKEN must be set, opens the pull request unless one is open already.
"""

import subprocess
import sys

BRANCH = "upgrade-locks"
TITLE = "Upgrade the locks"
# GitHub's own robot, which a workflow's token belongs to.
AUTHOR = (
    "-c",
    "user.name=github-actions[bot]",
    "-c",
    "user.email=41898282+github-actions[bot]@users.noreply.github.com",
)
HELPER = ("-c", "credential.helper=!gh auth git-credential")
BODY = """\
Made by `make upgrade`, from releases that are a week old at least.

The checks wait for a maintainer's «Approve workflows to run», since a robot opened this.
"""


def main() -> None:
    """Commit, push, and ask."""
    if not output("git", "status", "--porcelain", "--untracked-files=no"):
        print("nothing has changed")
        return
    run("git", "switch", "--force-create", BRANCH)
    run("git", *AUTHOR, "commit", "--quiet", "--all", "--message", TITLE)
    run("git", *HELPER, "push", "--quiet", "--force", "origin", BRANCH)
    if output("gh", "pr", "list", "--head", BRANCH, "--json", "number", "--jq", ".[].number"):
        print(f"the open pull request of {BRANCH} has the new commit")
        return
    run("gh", "pr", "create", "--head", BRANCH, "--title", TITLE, "--body", BODY)


def run(*command: str) -> None:
    """Run a program; end with its status when it fails."""
    done = subprocess.run(command, check=False)
    if done.returncode:
        sys.exit(done.returncode)


def output(*command: str) -> str:
    """What a program prints; end with its status when it fails."""
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        sys.exit(done.returncode)
    return done.stdout.strip()


if __name__ == "__main__":
    main()
