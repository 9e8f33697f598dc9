/** linktool takes the wrapper's options: a file comes out as the message would. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { trackingOptions } from '../../lib/linktool/tracking-options.ts'
import { wrapperOptions } from '../../lib/message/smtp/options.ts'
import type { OptionTable } from '../../lib/process/option.ts'

test('each option of a message is the same for linktool and for the wrapper', () => {
  const wrapper: OptionTable = wrapperOptions
  for (const [name, { help, env, ...own }] of Object.entries(trackingOptions as OptionTable)) {
    const theirs = wrapper[name]
    assert.ok(theirs, `the wrapper has --${name}`)
    assert.equal(help, theirs.help, name)
    assert.equal(own.default, theirs.default, name)
    assert.equal(own.kind.placeholder, theirs.kind.placeholder, name)
    assert.equal(env, theirs.env ?? `WRAPPER_${name.replaceAll('-', '_').toUpperCase()}`, name)
  }
})

test('linktool has every option of the wrapper that says what is done to a message', () => {
  const missing = Object.keys(wrapperOptions).filter(
    name => /^(?:track|honeypot|dkim|list-unsubscribe)/.test(name) && !Object.hasOwn(trackingOptions, name),
  )
  assert.deepEqual(missing, [])
})
