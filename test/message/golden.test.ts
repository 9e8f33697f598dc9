/**
 * Messages of our own and what becomes of them: NAME.eml → NAME.ref, both with LF for CRLF, `.ref` followed by what the
 * links stand for. `UPDATE_GOLDEN=1` writes the .ref files anew; read the difference before it is committed.
 */
import assert from 'node:assert/strict'
import { existsSync, globSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { LinkRequest } from '../../lib/message/tracking/tracking-plan.ts'
import { wrapped } from '../support/wrapped.ts'

const folder = join(import.meta.dirname, 'golden')

for (const file of globSync('*.eml', { cwd: folder }).toSorted()) {
  test(`golden ${file}`, () => {
    const message = readFileSync(join(folder, file), 'latin1')
    assert.ok(!message.includes('\r'))
    const links: LinkRequest[] = []
    const plan = {
      trackInitialOpen: true,
      trackText: file.includes('text'),
      honeypotLink: file.includes('honeypot'),
      listUnsubscribe: { https: true, mailto: 'unsubscribe@news.example' },
      linkFor: (link: LinkRequest) => `https://track.example.com/${'t'.repeat(60)}${links.push(link)}`,
    }
    const { text, report } = wrapped(Buffer.from(message.replaceAll('\n', '\r\n'), 'latin1'), { plan })
    const lines = [
      ...links.map(({ action, url, linkName }, index) => [index + 1, action, url, linkName].join(' ').trimEnd()),
      ...Object.entries(report.skipped).map(([reason, count]) => `skipped ${reason} ${count}`),
    ]
    const result = `${text.replaceAll('\r\n', '\n')}==== links\n${lines.join('\n')}\n`
    assert.ok(!result.includes('\r'))
    const reference = join(folder, file.replace(/\.eml$/, '.ref'))
    if (process.env['UPDATE_GOLDEN'] || !existsSync(reference)) writeFileSync(reference, result, 'latin1')
    assert.equal(result, readFileSync(reference, 'latin1'))
  })
}
