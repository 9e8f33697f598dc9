import assert from 'node:assert/strict'
import { test } from 'node:test'
import { overview } from './page.ts'

test('an unsubscription is named as one, and found by the type that it has', () => {
  const event = { seq: 1, source: 'sparkpost', messageId: null, recipient: null, eventId: null, at: 0, received: 0 }
  const rows = ['link', 'list', 'click'].map(type => ({ ...event, type, batch: null, body: '{}' }))
  const shown = { events: rows, mails: [], eventsKept: 3, mailsKept: 0, filter: undefined, refreshing: false }
  const links = [...overview(shown).text.matchAll(/href="([^"]*type=[^"]*)">([^<]*)</g)].map(([, at, name]) => [
    at,
    name,
  ])
  assert.deepEqual(links, [
    ['/?type=link', 'unsubscribe (link)'],
    ['/?type=list', 'unsubscribe (list)'],
    ['/?type=click', 'click'],
  ])
})
