import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Archive } from './archive.ts'
import { whatFails } from './what-fails.ts'

test('what fails is the reading where nothing can be read, else the storing', async () => {
  const asked: string[] = []
  const archive = (fails: boolean) =>
    ({
      call: async (name: string) => {
        asked.push(name)
        await Promise.resolve()
        if (fails) throw new Error('disk I/O error')
      },
    }) as unknown as Pick<Archive, 'call'>
  assert.equal(await whatFails(archive(true)), 'read')
  assert.equal(await whatFails(archive(false)), 'store')
  assert.deepEqual(asked, ['counts', 'counts'])
})
