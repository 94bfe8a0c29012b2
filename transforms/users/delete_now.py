"""Deleting somebody at once, where no job works on the store: the state machine, and all that it passes on.

Times are microseconds UTC.
"""

from collections.abc import Collection
from secrets import token_hex

from transforms.campaigns.load import Definitions
from transforms.events.event import Event
from transforms.storage.store import Store
from transforms.users.accounts import ORDERED
from transforms.users.effects import Deleted, Forward
from transforms.users.rows import tombstone_of, user_row
from transforms.users.user import ANONYMOUS, Input, User, encode_user
from transforms.users.write_batch import WriteBatch, open_users

__all__ = ["delete_now", "deletion_of"]

#: A deletion tells the ids that were merged, which tell nobody; an owner that is passed on goes as far as merges went.
_MOST_PASSES = 100


def deletion_of(key: str, at: int) -> Event:
    """The deletion of a user, or of a visitor (`~` and an anonymous id), made now; see `users.accounts.ORDERED`."""
    user, anonymous = (None, key.removeprefix(ANONYMOUS)) if key.startswith(ANONYMOUS) else (key, None)
    return Event(f"todoke-delete-{at}-{token_hex(8)}", "delete", "", at, at, user, anonymous, group=ORDERED)


def delete_now(store: Store, key: str, ids: Collection[str], definitions: Definitions, at: int) -> None:
    """Delete whoever an id is; whoever calls it has the lease on the store.

    A state that cannot be read is deleted too. Everything may be repeated: what died in between is done again.

    Args:
      store: whose rows go.
      key: a user id, or `~` and an anonymous id.
      ids: all ids under which something of that person stands.
      definitions: of the store's users.
      at: when, microseconds UTC.

    Raises:
      StoreError: it cannot be read or written.
    """
    with store.transaction():
        _delete(store, key, ids, definitions, at)


def _delete(store: Store, key: str, ids: Collection[str], definitions: Definitions, at: int) -> None:
    # While the ledger knows the sends still.
    store.delete_mailbox_claims([row.send for id_ in ids for row in store.read_ledger(id_)])
    inputs: dict[str, list[Input]] = {key: [deletion_of(key, at)]}
    for _ in range(_MOST_PASSES):
        if not inputs:
            return
        inputs = _apply(store, inputs, ids, definitions, at)


def _apply(
    store: Store, inputs: dict[str, list[Input]], ids: Collection[str], definitions: Definitions, at: int
) -> dict[str, list[Input]]:
    """Apply inputs, and return those that go on to others."""
    batch, going_on = WriteBatch(definitions, store), dict[str, list[Input]]()
    for name, user in open_users(store, [*inputs]).items():
        if isinstance(user, User):
            batch.apply(user, inputs[name])
        else:
            _bury(store, name, ids, at)
    for result in batch.flush():  # what it decided to send is forgotten with the user
        if isinstance(result, Forward):
            going_on.setdefault(result.user, []).append(result.input)
    return going_on


def _bury(store: Store, name: str, ids: Collection[str], at: int) -> None:
    """Leave tombstones of somebody whose state cannot be read, and of the ids that were merged into them."""
    deleted = Deleted(name, at, (*ids,), (), (), at)
    rows = store.read_users([name, *ids])
    left = [tombstone_of(id_, deleted, rows.get(id_)) for id_ in ids if id_ != name]
    version = rows[name].version + 1 if name in rows else 1
    left.append(User(name, version, at, deleted=at, deleted_at=at))
    for id_ in (name, *ids):
        store.delete_user(id_, (), ())
    store.write_users([user_row(user, encode_user(user)) for user in left])
