import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { html } from './markup.ts'

test('html escapes what is put into text and attributes', () => {
  const hostile = `"><script>alert('x')</script>&amp;`
  assert.equal(
    html`<a title="${hostile}">${hostile}</a>`.text,
    `<a title="&quot;&gt;&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&amp;amp;">&quot;&gt;&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&amp;amp;</a>`,
  )
})

test('html takes markup, lists, numbers and nothing', () => {
  const inner = html`<b>${1}</b>`
  assert.equal(html`${['<', inner, undefined]}`.text, '&lt;<b>1</b>')
})

test('html shows bidirectional controls instead of obeying them', () => {
  assert.equal(html`${'a\u202Eb'}`.text, String.raw`a\u202eb`)
})

test('html lets no text become markup', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), text => {
      assert.doesNotMatch(html`${text}`.text, /[<>"']/)
    }),
  )
})
