import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { Recently } from './recently.ts'

test('Recently keeps what was asked for last, and forgets what was not', () => {
  const recently = new Recently<number>(10)
  for (let count = 0; count < 1000; count++) {
    recently.set(`text ${count}`, count)
    assert.equal(recently.get('text 0'), 0, 'asked for again and again')
    for (let back = 0; back < Math.min(count, 4); back++)
      assert.equal(recently.get(`text ${count - back}`), count - back)
  }
  const kept = Array.from({ length: 1000 }, (_, count) => recently.get(`text ${count}`)).filter(
    found => found !== undefined,
  )
  assert.ok(kept.length <= 20)
})

test('Recently does not keep the document that a text was cut out of', () => {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  const recently = new Recently<number>(200)
  collect()
  const before = process.memoryUsage().heapUsed
  for (let count = 0; count < 200; count++) {
    const document = Buffer.alloc(500_000, 'x').toString('latin1')
    const cut = `${count}`.padStart(40, '-') + document
    for (let again = 0; again < 2; again++) {
      const text = cut.slice(0, 60)
      if (recently.get(text) === undefined) recently.set(text, count)
    }
  }
  collect()
  assert.ok(process.memoryUsage().heapUsed - before < 20_000_000, 'documents of 100 MB are gone')
  assert.equal(recently.get(`${'-'.repeat(39)}7${'x'.repeat(20)}`), 7)
})

test('Recently tells texts apart by every code unit', () => {
  const recently = new Recently<number>(10)
  for (const [index, text] of ['é', 'Ã©', '日', '\ud800', '\ud801', ''].entries()) recently.set(text, index)
  for (const [index, text] of ['é', 'Ã©', '日', '\ud800', '\ud801', ''].entries())
    assert.equal(recently.get(text), index)
})
