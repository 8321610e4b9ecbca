"""
Prints src/auth/stringprep-tables.ts: the tables of RFC 3454 (Unicode 3.2) that SASLprep uses, as
Python's standard library has them. `python3 test/corpus/record-stringprep.py > src/auth/stringprep-tables.ts`
"""
import stringprep as rfc

TABLES = [
    (
        'spaces',
        'C.1.2: spaces that become U+0020.',
        [rfc.in_table_c12],
    ),
    (
        'mappedToNothing',
        'B.1: what falls away.',
        [rfc.in_table_b1],
    ),
    (
        'refused',
        'What RFC 4013 prohibits (C.1.2, C.2.1, C.2.2, C.3 to C.9) and what Unicode 3.2 does not assign (A.1).',
        [
            rfc.in_table_a1, rfc.in_table_c12, rfc.in_table_c21, rfc.in_table_c22, rfc.in_table_c3,
            rfc.in_table_c4, rfc.in_table_c5, rfc.in_table_c6, rfc.in_table_c7, rfc.in_table_c8,
            rfc.in_table_c9,
        ],
    ),
    (
        'rightToLeft',
        'D.1: RandALCat.',
        [rfc.in_table_d1],
    ),
    (
        'leftToRight',
        'D.2: LCat.',
        [rfc.in_table_d2],
    ),
]


def differences(tests):
    """Where membership changes, from U+0000 on, each as the distance from the change before."""
    found, last, was = [], 0, False
    for point in range(0x110000):
        now = any(test(chr(point)) for test in tests)
        if now != was:
            found.append(format(point - last, 'x'))
            last, was = point, now
    return ' '.join(found)


print("""/**
 * Made by test/corpus/record-stringprep.py of RFC 3454's tables; do not edit. Each text lists where
 * membership of code points changes, beginning with none at U+0000: hexadecimal distances from one
 * change to the next.
 */""")
for name, doc, tests in TABLES:
    print(f"\n/** {doc} */\nexport const {name} =\n  '{differences(tests)}'")
