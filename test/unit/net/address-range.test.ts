import { describe, expect, it } from 'vitest'
import { addressBytes, isInRange, parseRange } from '../../../src/net/address-range.ts'

const isIn = (address: string, range: string): boolean => {
  const [bytes, parsed] = [addressBytes(address), parseRange(range)]
  if (bytes === null || parsed === null) throw new Error(`${address} ${range}`)
  return isInRange(bytes, parsed)
}

describe('parseRange', () => {
  it.each([
    ['10.1.2.3', '10.0.0.0/8', true],
    ['11.1.2.3', '10.0.0.0/8', false],
    ['10.0.0.1', '10.0.0.1', true],
    ['10.0.0.2', '10.0.0.1', false],
    ['10.0.0.127', '10.0.0.0/25', true],
    ['10.0.0.128', '10.0.0.0/25', false],
    ['1.2.3.4', '0.0.0.0/0', true],
    ['::ffff:10.1.2.3', '10.0.0.0/8', true],
    ['10.1.2.3', '::ffff:10.0.0.0/104', true],
    ['::1', '0.0.0.0/0', false],
    ['1.2.3.4', '::/0', false],
    ['::1', '::1', true],
    ['::1', '::/127', true],
    ['fd00:1::5', 'fd00::/8', true],
    ['fe80::1%eth0', 'fe80::/10', true],
    ['2001:db8::1:2', '2001:db8:0:0:0:0:1:0/112', true],
    ['64:ff9b::1.2.3.4', '64:ff9b::102:304', true],
  ])('%s in %s: %s', (address, range, is) => {
    expect(isIn(address, range)).toBe(is)
  })

  it.each([
    '',
    'all',
    '10.0.0',
    '10.0.0.0/33',
    '10.0.0.0/',
    '10.0.0.0/8/8',
    '::/129',
    '::ffff:1.2.3.4/95',
  ])('takes %j for no range', (text) => {
    expect(parseRange(text)).toBeNull()
  })
})
