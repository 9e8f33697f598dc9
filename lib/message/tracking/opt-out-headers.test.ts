import assert from 'node:assert/strict'
import { test } from 'node:test'
import { HeaderBlock } from '../mime/header-block.ts'
import { applyOptOutHeaders, isOptOutHeader } from './opt-out-headers.ts'

const all = { trackOpen: true, trackInitialOpen: true, trackClick: true, trackText: true }

/** What remains on, one letter each. */
function remaining(lines: string, wanted = all): string {
  const { trackOpen, trackInitialOpen, trackClick, trackText } = applyOptOutHeaders(
    new HeaderBlock(`${lines}\r\n`),
    wanted,
  ).switches
  return `${trackOpen ? 'o' : ''}${trackInitialOpen ? 'i' : ''}${trackClick ? 'c' : ''}${trackText ? 't' : ''}`
}

test('applyOptOutHeaders heeds each header in each spelling', () => {
  const cases: [string, string][] = [
    ['Subject: x', 'oict'],
    ['X-Track: none', ''],
    ['x-track: opens', 'oi'],
    ['X-Track: clicks', 'ct'],
    ['X-TRACK: opens, clicks', 'oict'],
    ['X-Track: initial-opens', 'i'],
    ['X-Track: all', 'oict'],
    ['X-Track: yes', 'oict'],
    ['X-Track: no', ''],
    ['X-Track:', 'oict'],
    ['X-No-Track: 1', ''],
    ['X-No-Track:', ''],
    ['X-No-Track: false', 'oict'],
    ['X-Mailgun-Track: no', ''],
    ['X-Mailgun-Track: yes', 'oict'],
    ['X-Mailgun-Track-Clicks: no', 'oi'],
    ['X-Mailgun-Track-Clicks: htmlonly', 'oic'],
    ['X-Mailgun-Track-Opens: False', 'ct'],
    ['X-PM-TrackOpens: false', 'ct'],
    ['X-PM-TrackLinks: None', 'oi'],
    ['X-PM-TrackLinks: HtmlOnly', 'oic'],
    ['X-PM-TrackLinks: TextOnly', 'oit'],
    ['X-PM-TrackLinks: HtmlAndText', 'oict'],
    ['X-MSYS-API: {"options":{"open_tracking":false,"click_tracking":true}}', 'ct'],
    ['X-MSYS-API: {"options" :\r\n {"click_tracking" : false}, "campaign_id": "ü"}', 'oi'],
    ['X-MSYS-API: {"options":{"initial_open":false}}', 'oct'],
    ['X-MSYS-API: {"open_tracking":false}', 'oict'],
    ['X-MSYS-API: {not json', 'oict'],
    ['X-MSYS-API: null', 'oict'],
    ['X-PM-TrackOpens: false\r\nX-Mailgun-Track-Clicks: no', ''],
  ]
  for (const [lines, expected] of cases) assert.equal(remaining(lines), expected, lines)
})

test('applyOptOutHeaders only ever switches off', () => {
  const nothing = { trackOpen: false, trackInitialOpen: false, trackClick: false, trackText: false }
  for (const line of ['X-Track: all', 'X-Mailgun-Track: yes', 'X-PM-TrackLinks: HtmlAndText'])
    assert.equal(remaining(line, nothing), '')
})

test('isOptOutHeader knows their names and no others', () => {
  for (const name of ['x-track', 'x-mailgun-track-opens', 'x-msys-api']) assert.ok(isOptOutHeader(name))
  for (const name of ['subject', 'x-mailgun-tag', 'constructor', '__proto__', '']) assert.ok(!isOptOutHeader(name))
})
