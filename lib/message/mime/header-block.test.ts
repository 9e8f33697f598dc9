import assert from 'node:assert/strict'
import { test } from 'node:test'
import { HeaderBlock } from './header-block.ts'

const block = 'From: a@b.example\r\nSubject: one\r\n two\r\n\tthree\r\nno colon\r\nX-Two : x\r\nx-two: y\r\nEmpty:\r\n'

test('HeaderBlock finds fields by name in any case, unfolded and trimmed', () => {
  const header = new HeaderBlock(Buffer.from(block))
  assert.equal(header.get('from'), 'a@b.example')
  assert.equal(header.get('subject'), 'one two\tthree')
  assert.equal(header.get('x-two'), 'x')
  assert.deepEqual(header.all('x-two'), ['x', 'y'])
  assert.equal(header.get('empty'), '')
  assert.equal(header.get('to'), undefined)
  assert.ok(header.has('no colon'))
})

test('HeaderBlock accounts for every byte', () => {
  for (const text of [block, '', ' leading\r\nA: b\r\n', 'A: b', '\r\n', 'A: b\r\n \r\n', 'A\r\nB: c\rd\ne\r\n']) {
    const header = new HeaderBlock(text)
    assert.equal(header.fields.map(({ start, end }) => text.slice(start, end)).join(''), text)
  }
})
