import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { TimeZone } from './time-zone.ts'

const zoneModule = JSON.stringify(new URL('time-zone.ts', import.meta.url).href)

test('the zone of the process is the one of its name, in each half hour of a year in which it changed', () => {
  // Clocks of Lord Howe change by half an hour, Apia skipped a day.
  for (const zone of ['America/New_York', 'Australia/Lord_Howe', 'Pacific/Apia']) {
    const program = `
      import { TimeZone } from ${zoneModule}
      const [own, named] = [new TimeZone(), new TimeZone('${zone}')]
      const hours = []
      for (let civil = Date.UTC(2011, 9); civil < Date.UTC(2012, 9); civil += 1_800_000) {
        const [one, other] = [own.instants(civil), named.instants(civil)]
        if (one.join() !== other.join()) hours.push(new Date(civil).toISOString())
      }
      console.log(hours.join(' '))`
    const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', program], {
      encoding: 'utf8',
      env: { ...process.env, TZ: zone },
    })
    assert.deepEqual({ stdout, stderr }, { stdout: '\n', stderr: '' }, zone)
  }
})

test('what is no zone is refused', () => {
  assert.throws(() => new TimeZone('Europe/Nowhere'), RangeError)
})
