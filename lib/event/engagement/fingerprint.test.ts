import assert from 'node:assert/strict'
import { test } from 'node:test'
import { newMessageId } from '../../record/message-id.ts'
import { Fingerprint } from './fingerprint.ts'

const text = ({ high, low }: Fingerprint) => `${high} ${low}`

test('Fingerprint tells apart the ids of a campaign, each half of it on its own, too', () => {
  const count = 200_000
  const [both, highs, lows] = [new Set<string>(), new Set<number>(), new Set<number>()]
  const mark = new Fingerprint()
  for (let number = 0; number < count; number++) {
    const random = Buffer.alloc(4)
    random.writeUInt32BE(number)
    mark.ofText(newMessageId(1_800_000_000_000, random))
    both.add(text(mark))
    highs.add(mark.high)
    lows.add(mark.low)
  }
  assert.equal(both.size, count)
  // By chance 4.7 pairs of 200,000 share 32 bits.
  assert.ok(count - highs.size < 40 && count - lows.size < 40, `${highs.size} ${lows.size}`)
})

test('Fingerprint tells apart short texts, and numbers that stand beside the same text', () => {
  const mark = new Fingerprint()
  const texts = Array.from({ length: 20_000 }, (_, number) => number.toString(36))
  assert.equal(new Set(texts.map(one => text(mark.ofText(one)))).size, texts.length)
  const pair = new Fingerprint()
  const numbers = Array.from({ length: 20_000 }, (_, number) => number * 0x9e3779b1)
  assert.equal(new Set(numbers.map(one => text(pair.ofPair(mark.ofText('a'), one)))).size, numbers.length)
  assert.notEqual(text(pair.ofPair(mark.ofText('a'), 1)), text(pair.ofPair(mark.ofText('b'), 1)))
})
