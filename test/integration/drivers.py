"""What drivers.python.test.ts runs: one driver of Python with its default settings, by name."""
import asyncio
import io
import os
import sys

DSN = os.environ['PGSPLIT_TEST_URL']


def check(found, expected):
    assert found == expected, f'{found!r} is not {expected!r}'


def run_psycopg2():
    import psycopg2
    import psycopg2.extensions

    db = psycopg2.connect(DSN)
    cursor = db.cursor()
    cursor.execute('DROP TABLE IF EXISTS of_pg2; CREATE TABLE of_pg2 (a int, b text)')
    cursor.executemany('INSERT INTO of_pg2 VALUES (%s, %s)', [(i, str(i)) for i in range(10)])
    db.commit()
    cursor.execute('SELECT count(*) FROM of_pg2')
    check(cursor.fetchone(), (10,))
    db.rollback()
    named = db.cursor('named')
    named.itersize = 3
    named.execute('SELECT a FROM of_pg2 ORDER BY a')
    check([a for a, in named], list(range(10)))
    db.commit()
    db.set_session(readonly=True, isolation_level='REPEATABLE READ')
    cursor.execute('SELECT count(*) FROM of_pg2')
    check(cursor.fetchone(), (10,))
    db.rollback()
    db.set_session(readonly=False, autocommit=True)
    cursor.copy_expert('COPY of_pg2 FROM STDIN', io.StringIO('100\tq\n'))
    out = io.StringIO()
    cursor.copy_expert('COPY of_pg2 TO STDOUT', out)
    check(len(out.getvalue().splitlines()), 11)
    try:
        cursor.execute('SELECT 1/0')
        raise AssertionError('no error')
    except psycopg2.Error as error:
        check(error.pgcode, '22012')
    cursor.execute('LISTEN news_of_pg2')
    cursor.execute("NOTIFY news_of_pg2, 'hello'")
    db.poll()
    check([n.payload for n in db.notifies], ['hello'])
    db.set_client_encoding('LATIN1')
    cursor.execute('SELECT %s', ('\u00e4',))
    check(cursor.fetchone(), ('\u00e4',))
    db.close()


def run_psycopg():
    import psycopg

    with psycopg.connect(DSN) as db:
        db.execute('DROP TABLE IF EXISTS of_pg3')
        db.execute('CREATE TABLE of_pg3 (a int, b text)')
        db.commit()
        for i in range(12):
            check(db.execute('SELECT count(*) FROM of_pg3 WHERE a < %s', (i,)).fetchone(), (0,))
        with db.transaction():
            db.execute('INSERT INTO of_pg3 VALUES (%s, %s)', (50, 'x'))
            try:
                with db.transaction():
                    db.execute('SELECT 1/0')
            except psycopg.Error as error:
                check(error.sqlstate, '22012')
        with db.pipeline():
            found = [db.execute('SELECT %s::int', (i,)) for i in range(40)]
            check([f.fetchone()[0] for f in found], list(range(40)))
        with db.cursor().copy('COPY of_pg3 (a, b) FROM STDIN') as copy:
            for i in range(100):
                copy.write_row((i, 'z'))
        db.commit()
        with db.cursor(name='named') as named:
            named.execute('SELECT a FROM of_pg3')
            check(len(named.fetchmany(5)), 5)
        # more than its cache of prepared statements holds: the oldest are deallocated
        for i in range(130):
            db.execute(f'SELECT {i} AS a{i} FROM of_pg3 WHERE a = %s LIMIT 1', (1,), prepare=True)
        with db.pipeline():
            for i in range(130):
                db.execute(f'SELECT {i} AS b{i} FROM of_pg3 WHERE a = %s', (1,), prepare=True)
    with psycopg.connect(DSN, autocommit=True) as db:
        for i in range(8):
            db.execute('SELECT count(*) FROM of_pg3 WHERE a < %s', (i,), binary=True).fetchone()
        try:
            db.execute('SELECT * FROM nowhere')
            raise AssertionError('no error')
        except psycopg.Error as error:
            check(error.sqlstate, '42P01')
        check(db.execute("SELECT %s::jsonb -> 'a'", ('{"a": [1]}',)).fetchone(), ([1],))


async def run_asyncpg():
    import asyncpg

    db = await asyncpg.connect(DSN)
    await db.execute('DROP TABLE IF EXISTS of_async; CREATE TABLE of_async (a int, b text)')
    for i in range(10):
        check(await db.fetchval('SELECT $1::int + 1', i), i + 1)
    async with db.transaction():
        await db.execute("INSERT INTO of_async VALUES (1, 't')")
        check([row['a'] async for row in db.cursor('SELECT * FROM of_async')], [1])
    async with db.transaction(readonly=True, isolation='repeatable_read'):
        check(len(await db.fetch('SELECT * FROM of_async')), 1)
    await db.executemany('INSERT INTO of_async VALUES ($1, $2)', [(i, 'e') for i in range(50)])
    await db.copy_records_to_table('of_async', records=[(i, 'c') for i in range(50)])
    check(await db.fetchval('SELECT count(*) FROM of_async'), 101)
    try:
        await asyncio.wait_for(db.execute('SELECT pg_sleep(30)'), 0.2)
        raise AssertionError('no time-out')
    except asyncio.TimeoutError:
        pass
    heard = asyncio.Future()
    await db.add_listener('news_of_async', lambda *all: heard.set_result(all[3]))
    await db.execute("NOTIFY news_of_async, 'hello'")
    check(await asyncio.wait_for(heard, 10), 'hello')
    await db.reset()
    await db.close()
    async with asyncpg.create_pool(DSN, min_size=5, max_size=10) as pool:
        found = await asyncio.gather(*[pool.fetchval('SELECT $1::int', i) for i in range(200)])
        check(found, list(range(200)))


driver = sys.argv[1]
if driver == 'psycopg2':
    run_psycopg2()
elif driver == 'psycopg':
    run_psycopg()
else:
    asyncio.run(run_asyncpg())
print(f'{driver} ok')
