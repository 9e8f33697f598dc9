import assert from 'node:assert/strict'
import { test } from 'node:test'
import { HeaderBlock } from '../mime/header-block.ts'
import { partKind } from './part-kind.ts'

const kind = (...lines: string[]): string => partKind(new HeaderBlock(lines.map(line => `${line}\r\n`).join(''))).kind

test('partKind tells texts, containers and what is left alone', () => {
  assert.equal(kind(), 'text')
  assert.equal(kind('Content-Type: text/html'), 'html')
  assert.equal(kind('Content-Type: Text/X-AMP-HTML; charset=utf-8'), 'amp')
  assert.equal(kind('Content-Type: multipart/mixed; boundary=x'), 'container')
  assert.equal(kind('Content-Type: multipart/mixed'), 'other')
  assert.equal(kind('Content-Type: multipart/digest; boundary=x'), 'sealed')
  for (const type of [
    'multipart/signed; boundary=x',
    'multipart/encrypted; boundary=x',
    'multipart/report; boundary=x',
    'message/rfc822',
    'message/partial',
  ]) {
    assert.equal(kind(`Content-Type: ${type}`), 'sealed', type)
  }
  for (const type of ['application/pkcs7-mime', 'text/calendar', 'image/png', 'text/enriched', 'text/html x']) {
    assert.equal(kind(`Content-Type: ${type}`), 'other', type)
  }
})

test('partKind takes every disposition but inline for an attachment', () => {
  const html = 'Content-Type: text/html'
  for (const value of ['inline', 'INLINE; filename=x.html', '"inline"', '', '; filename=x']) {
    assert.equal(kind(html, `Content-Disposition: ${value}`), 'html', value)
  }
  for (const value of ['attachment', 'Attachment; filename=x', 'form-data', '=?utf-8?Q?invalid?=', 'inlined']) {
    assert.equal(kind(html, `Content-Disposition: ${value}`), 'attachment', value)
  }
})

test('partKind takes fields that contradict each other for no text', () => {
  const html = 'Content-Type: text/html'
  assert.equal(kind(html, 'Content-Type: application/octet-stream'), 'header-conflict')
  assert.equal(kind('From x y', html, 'X: y', 'Content-Type: text/plain'), 'header-conflict')
  assert.equal(kind(html, 'content-type: TEXT/html;'), 'html')
  assert.equal(kind(html, 'Content-Transfer-Encoding: 7bit', 'Content-Transfer-Encoding: 8bit'), 'html')
  // Without an empty line between them, these are the message's header and its first part's.
  const container = 'Content-Type: multipart/mixed; boundary=b'
  assert.equal(kind(container, 'This is a multi-part message.', '--b', html), 'container')
})
