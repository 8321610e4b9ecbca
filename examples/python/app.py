"""SQLAlchemy through pgsplit: get_session(write) says what a session is for."""

import os
import sys
from contextlib import contextmanager

try:
    import psycopg2  # noqa: F401
    from sqlalchemy import create_engine, text
    from sqlalchemy.exc import DBAPIError
    from sqlalchemy.orm import Session
except ImportError as missing:
    sys.exit(f"{missing}; Debian: python3-sqlalchemy python3-psycopg2, and PYTHON=/usr/bin/python3")

url = os.environ["DATABASE_URL"].replace("postgresql://", "postgresql+psycopg2://")
# One pool for both: where a transaction runs, pgsplit decides when it begins. What the connection
# has written or seen it goes on seeing; for a replica that has it, too, a read may wait this long.
engine = create_engine(url, connect_args={"options": "-c pgsplit.causal_wait=1s"})
read_only = engine.execution_options(postgresql_readonly=True)


@contextmanager
def get_session(write=False):
    """A transaction: with write on the primary, without it READ ONLY on one replica."""
    with Session(engine if write else read_only) as session, session.begin():
        yield session


def route_of(session):
    return session.execute(text("SHOW pgsplit.last_route")).scalar_one()


def orders_of(account):
    with get_session() as session:
        found = session.execute(
            text("SELECT count(*) FROM orders WHERE account_id = :id"), {"id": account}
        ).scalar_one()
        print("read:   ", found, "orders,", route_of(session))


with get_session(write=True) as session:
    session.execute(
        text("INSERT INTO orders (account_id, item, total) VALUES (3, :item, 5)"), {"item": "mate"}
    )
    print("write:  ", route_of(session))
for _ in range(5):
    orders_of(3)

try:
    with get_session(write=False) as session:
        session.execute(text("DELETE FROM orders"))
except DBAPIError as error:
    print("refused:", error.orig.pgcode, str(error.orig).strip())
