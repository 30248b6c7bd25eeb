"""`execution arm`: real money, for one day, by a person who typed the account's number."""

from __future__ import annotations

import typer

from cli.ledger import reading, rows
from cli.operating.asking import carry
from cli.options import settings_of_home
from cli.trouble import Trouble
from services.state import store
from shared.contracts.commands import Arm


def arm(as_json: bool) -> int:
    """Ask for the number, then state; the exit code. Raises Trouble."""
    settings = settings_of_home()
    if settings.broker.kind != "live":
        raise Trouble(f"broker.kind is {settings.broker.kind}: only live trading is armed, nothing needs to be here")
    if not settings.broker.account:
        raise Trouble("broker.account is not set: name the account's number in execution.toml, then start again")
    with reading(settings.ledger) as ledger:
        accounts = rows(ledger, store.ACCOUNT)
    number = accounts[0].account_number if accounts else ""
    if not number:
        raise Trouble("the broker's account was not read yet: start `execution up`, then try again")
    typer.echo(f"REAL MONEY: this allows entries on account {number} until today's close.", err=True)
    typed = typer.prompt("Type the account's number", err=True).strip()
    if typed != number:
        raise Trouble(f"that is not {number}: nothing was armed")
    return carry(Arm, as_json, account=typed)
