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
