import { describe, expect, it } from 'vitest'
import { settingValue } from '../../../src/client/setting-value.ts'

describe('the value behind SET … TO', () => {
  it.each([
    ['work_mem', '64', '64'],
    ['work_mem', "'64MB'", '64MB'],
    ['work_mem', '  "64MB"  ', '64MB'],
    ['x', 'on', 'on'],
    ['x', 'TRUE', 'true'],
    ['x', '-5', '-5'],
    ['x', '+5', '5'],
    ['x', '1.50', '1.50'],
    ['x', '007', '7'],
    ['x', '-007', '-7'],
    ['x', '-0', '0'],
    ['x', '+01.50', '01.50'],
    ['x', '2147483648', '2147483648'],
    ['x', '-02147483648', '-02147483648'],
    ['x', `A${'b'.repeat(70)}`, `a${'b'.repeat(62)}`],
    ['x', `"${'ä'.repeat(40)}"`, 'ä'.repeat(31)],
    ['x', `'${'b'.repeat(70)}'`, 'b'.repeat(70)],
    ['x', '1e3', '1e3'],
    ['x', "'it''s'", "it's"],
    ['x', '"a""b"', 'a"b'],
    ['x', "''", ''],
    ['DateStyle', 'ISO, MDY', 'iso, mdy'],
    ['datestyle', "'ISO', 'DMY'", 'ISO, DMY'],
    ['search_path', 'a, b', 'a, b'],
    ['search_path', 'MySchema', 'myschema'],
    ['search_path', '"MySchema"', '"MySchema"'],
    ['search_path', "'a, b'", '"a, b"'],
    ['search_path', '"$user", public', '"$user", public'],
    ['search_path', '"a""b"', '"a""b"'],
    ['search_path', "''", '""'],
    ['search_path', '"select", "values", "left", "begin"', '"select", "values", "left", begin'],
    ['client_min_messages', 'warning', 'warning'],
  ])('%s: %s is %s', (name, text, value) => {
    expect(settingValue(name, text)).toBe(value)
  })

  it.each([
    '',
    "E'a'",
    "e'a'",
    "U&'a'",
    'U&"a"',
    "B'1'",
    "X'1F'",
    "'a",
    '"a',
    'a,',
    ', a',
    'a b',
    "'a' 'b'",
    "'a'\n'b'",
    'f(1)',
    '1 + 1',
    '0x1F',
    '1_000',
    '$1',
    '- 5',
    "INTERVAL '1' HOUR",
    '(1)',
  ])('%s can’t be replayed, and says so', (text) => {
    expect(settingValue('x', text)).toBeNull()
  })
})
