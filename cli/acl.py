"""`execution acl`: the server's users and what each may do, for a Redis that is not the embedded one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.options import AsJson, Home

Passwords = Annotated[
    Path | None,
    typer.Option(
        "--passwords",
        metavar="FOLDER",
        help="A file for each user's password; missing ones are drawn. Else bus.passwords, else the home's own.",
    ),
]
OpenLook = Annotated[bool, typer.Option("--open-look", help="Let anybody look without a password, and change nothing.")]


def register(app: typer.Typer) -> None:
    app.command()(acl)


def acl(home: Home = None, passwords: Passwords = None, open_look: OpenLook = False, json: AsJson = False) -> None:
    """Print the ACL file for a Redis server: a user for each process, from the table of streams.

    It holds hashes, no password. `redis-server --aclfile FILE` takes it; each line is also an ACL SETUSER.

    Example: execution acl --passwords passwords > users.acl
    """
    from cli.options import settings_of_home
    from cli.show import print_json
    from cli.trouble import Trouble
    from shared.runtime.embedded import passwords_of
    from shared.runtime.permissions import acl_file, drawn, users

    settings = settings_of_home()
    prefix = settings.bus.prefix
    folder = passwords or settings.bus.passwords or passwords_of(settings.data_folder)
    try:
        text = acl_file(prefix, drawn(folder, users(prefix)), open_look=open_look)
    except (OSError, UnicodeDecodeError) as fault:
        raise Trouble(f"{folder}: passwords cannot be kept there ({fault}); choose another --passwords") from None
    if json:
        print_json({"passwords": str(folder), "users": list(users(prefix)), "acl": text.splitlines()})
    else:
        typer.echo(text, nl=False)
