import assert from 'node:assert/strict'
import { test } from 'node:test'
import { linksOf } from './links.ts'

test('linksOf lists web links once, with entities decoded, in order', () => {
  const text = `<A HREF='https://a.example/?x=1&amp;y=2'>a</A><area href=http://b.example>
    <a href="mailto:x@y.example">m</a><a href="javascript:alert(1)">j</a><a href="/relative">r</a>
    <a href=" https://c.example/ ">c</a><a href="http://b.example">again</a><link href="https://style.example">`
  assert.deepEqual(linksOf(text), ['https://a.example/?x=1&y=2', 'http://b.example', 'https://c.example/'])
})

test('linksOf stops at its limits', () => {
  const many = Array.from({ length: 1000 }, (_, n) => `<a href="https://a.example/${n}">x</a>`).join('')
  assert.equal(linksOf(many).length, 200)
  assert.deepEqual(linksOf(`${'<div>'.repeat(100_000)}<a href="https://a.example">x</a>`), [])
})
