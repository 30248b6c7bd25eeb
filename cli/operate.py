"""Commands of the operator: what state is told to do, and what holds though state is dead."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.options import AsJson, Home

Symbol = Annotated[str, typer.Argument(help="The symbol, such as AAPL.")]


def register(app: typer.Typer) -> None:
    for command in (pause, halt, flatten, resume, sell, cancel, block, unblock, arm, adopt, disown, reconcile):
        app.command()(command)


def pause(home: Home = None, json: AsJson = False) -> None:
    """Buy nothing more. Entries that are out, stops, trims and exits go on.

    The level is written to data/halt first, so that it holds with state dead. Ends with 3 if state does not answer.

    Example: execution pause
    """
    _level("pause", json)


def halt(home: Home = None, json: AsJson = False) -> None:
    """Buy nothing more and cancel working entries. Stops, trims and exits go on.

    Where state does not answer, the broker is asked directly. Ends with 3 if neither could be reached.

    Example: execution halt
    """
    _level("halt", json)


def flatten(home: Home = None, json: AsJson = False) -> None:
    """Sell everything: entries and stops are cancelled, and what is held is sold at the market.

    While the market is closed stops stay, and state sells when it opens. Where state does not answer, the broker is
    asked directly; giving the command twice never sells twice. Ends with 3 if neither could be reached.

    Example: execution flatten
    """
    _level("flatten", json)


def _level(name: str, json: bool) -> None:
    from cli.operating.levels import set_level
    from shared.contracts.vocabulary import HaltLevel

    raise typer.Exit(set_level(HaltLevel(name), json))


def resume(home: Home = None, json: AsJson = False) -> None:
    """Trade again after pause, halt or flatten; also ends a stop for the day's loss or the drawdown.

    Example: execution resume
    """
    from cli.operating.asking import carry
    from shared.contracts.commands import Resume

    raise typer.Exit(carry(Resume, json))


def sell(symbol: Symbol, home: Home = None, json: AsJson = False) -> None:
    """Sell all shares of one symbol, as an exit of the engine's own.

    Example: execution sell AAPL
    """
    from cli.operating.asking import carry
    from shared.contracts.commands import Sell

    raise typer.Exit(carry(Sell, json, symbol=_symbol(symbol)))


def cancel(
    order: Annotated[str, typer.Argument(help="Our id of a working entry, as `execution orders` shows it.")],
    home: Home = None,
    json: AsJson = False,
) -> None:
    """Cancel a working entry. What protects or sells is not cancelled by hand.

    Example: execution cancel e7f3-260109-AAPL-entry-1
    """
    from cli.operating.asking import carry
    from shared.contracts.commands import Cancel

    raise typer.Exit(carry(Cancel, json, order=order))


def block(symbol: Symbol, home: Home = None, json: AsJson = False) -> None:
    """Do not buy a symbol until it is unblocked; what is held of it is managed as before.

    Example: execution block AAPL
    """
    from cli.operating.asking import carry
    from shared.contracts.commands import Block

    raise typer.Exit(carry(Block, json, symbol=_symbol(symbol)))


def unblock(symbol: Symbol, home: Home = None, json: AsJson = False) -> None:
    """Allow a symbol again that was blocked.

    Example: execution unblock AAPL
    """
    from cli.operating.asking import carry
    from shared.contracts.commands import Unblock

    raise typer.Exit(carry(Unblock, json, symbol=_symbol(symbol)))


def arm(home: Home = None, json: AsJson = False) -> None:
    """Allow entries with real money until today's close. Asks for the account's number to be typed.

    Only for broker.kind live. Not armed, stops, trims, exits and reconciliation run, and nothing is bought.

    Example: execution arm
    """
    from cli.operating.arming import arm as armed

    raise typer.Exit(armed(json))


def adopt(
    symbol: Symbol,
    stop: Annotated[str, typer.Option("--stop", metavar="PRICE", help="Where their stop is to rest, dollars.")],
    home: Home = None,
    json: AsJson = False,
) -> None:
    """Take over shares that the engine did not buy, with a stop; they have no targets.

    Example: execution adopt AAPL --stop 171.50
    """
    from cli.operating.asking import carry
    from cli.operating.words import a_price
    from shared.contracts.commands import Adopt

    raise typer.Exit(carry(Adopt, json, symbol=_symbol(symbol), stop=a_price("--stop", stop)))


def disown(
    symbol: Symbol,
    price: Annotated[str, typer.Option("--price", metavar="PRICE", help="What each of them brought, dollars.")],
    home: Home = None,
    json: AsJson = False,
) -> None:
    """Book that shares of the ledger are no longer at the broker, where no execution there tells how they went.

    A sale on the broker's own page is booked by itself. This is for a transfer, a merger, a delisting.

    Example: execution disown AAPL --price 171.50
    """
    from cli.operating.asking import carry
    from cli.operating.words import a_price
    from shared.contracts.commands import Disown

    raise typer.Exit(carry(Disown, json, symbol=_symbol(symbol), price=a_price("--price", price)))


def reconcile(home: Home = None, json: AsJson = False) -> None:
    """Compare ledger and broker now, and name what differs.

    Ends with 1 where something needs a person.

    Example: execution reconcile
    """
    from cli.operating.reconciling import reconcile as reconciled

    raise typer.Exit(reconciled(json))


def _symbol(text: str) -> str:
    from cli.operating.words import a_symbol

    return a_symbol(text)
