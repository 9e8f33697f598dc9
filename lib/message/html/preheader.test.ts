import assert from 'node:assert/strict'
import { test } from 'node:test'
import { afterPreheader } from './preheader.ts'

test('afterPreheader passes hidden elements right behind body, and nothing else', () => {
  // `|` marks the place.
  const cases = [
    '|<p>Hello</p>',
    '|text',
    '<div style="display:none">Preview <b>text</b></div>|<p>Hello',
    '\r\n <!-- c --> <span style="font-size:0px; color:#fff">Preview</span>|\r\n<p>',
    '<div style="display: none !important">a<div>b</div></div>|<table>',
    '<div class="preheader">a</div><div style="max-height:0;overflow:hidden">&zwnj;</div>|<p>',
    "<div class='x preview-text'>a</div>|<p>",
    // Never closed, or too far away: not understood.
    '|<div style="display:none">a<p>',
    '|<div style="display:none"></body>',
    '|<div style="display:none"><iframe></div></iframe></div>',
    '|<div style="display:none"><textarea></div>',
    `|<div style="display:none">${'x'.repeat(20_000)}</div>`,
    '|<div style="display:block">a</div>',
    '|<div style="font-size:10px">a</div>',
    '|<p>a</p><div style="display:none">late</div>',
    '|<!-- unclosed',
    '|',
  ]
  for (const marked of cases) {
    const place = marked.indexOf('|')
    assert.equal(afterPreheader(marked.replace('|', ''), 0), place, marked)
  }
})
