"""
An application with a pool: writes a row on one connection and looks for it on another at once.
`pooled_applications.py POOL ROWS WORKERS FIRST`: prints how many rows were not there. PGSPLIT_TEST_URL
says where, PGSPLIT_TEST_COMMIT how: on, off.
"""
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

POOL, ROWS, WORKERS, FIRST = sys.argv[1], *map(int, sys.argv[2:5])
URL = os.environ['PGSPLIT_TEST_URL']
COMMIT = os.environ['PGSPLIT_TEST_COMMIT']
WRITE = 'INSERT INTO pooled (id) VALUES (%s)'
READ = 'SELECT count(*) FROM pooled WHERE id = %s'


@contextmanager
def of_sqlalchemy():
    """SQLAlchemy's QueuePool with psycopg2: each checkout a transaction that is committed."""
    from sqlalchemy import create_engine

    engine = create_engine(
        URL.replace('postgres://', 'postgresql+psycopg2://'),
        future=True,
        pool_size=2 * WORKERS,
        connect_args={'options': f'-c synchronous_commit={COMMIT}'},
    )

    @contextmanager
    def connection(is_read):
        # Reads that an application leaves to autocommit, as it would to be split.
        options = {'isolation_level': 'AUTOCOMMIT'} if is_read else {}
        with engine.connect().execution_options(**options) as db:
            yield lambda text, value: db.exec_driver_sql(text, (value,))
            if not is_read:
                db.commit()

    yield connection
    engine.dispose()


@contextmanager
def of_psycopg():
    """psycopg_pool: the block of each checkout is a transaction."""
    from psycopg_pool import ConnectionPool

    kwargs = {'options': f'-c synchronous_commit={COMMIT}'}
    with ConnectionPool(URL, min_size=2, max_size=2 * WORKERS, kwargs=kwargs) as pool:

        @contextmanager
        def connection(is_read):
            with pool.connection() as db:
                if is_read:
                    db.autocommit = True
                yield lambda text, value: db.execute(text, (value,))
                if is_read:
                    db.autocommit = False

        yield connection


def run(connection, worker):
    missing = 0
    for n in range(worker, ROWS, WORKERS):
        # One connection is held while the other is taken: they are two.
        with connection(True) as read:
            with connection(False) as write:
                write(WRITE, FIRST + n)
            if read(READ, FIRST + n).fetchone()[0] != 1:
                missing += 1
    return missing


with {'sqlalchemy': of_sqlalchemy, 'psycopg_pool': of_psycopg}[POOL]() as connection:
    with ThreadPoolExecutor(WORKERS) as workers:
        counts = workers.map(lambda worker: run(connection, worker), range(WORKERS))
        print(f'missing {sum(counts)} of {ROWS}')
