/** PowerMTA's record types, the value of the column `type`. */
import type { DeliveryType } from '../event.ts'

/**
 * What a record of a type tells. `tq` is a `t` of a whole queue: it tells of a message only where it names one. The types
 * `r` (received) and `rs` (remote status) tell of no outcome.
 */
const deliveryTypes: ReadonlyMap<string, DeliveryType> = new Map([
  ['d', 'delivery'],
  ['b', 'bounce'],
  ['t', 'delay'],
  ['tq', 'delay'],
  ['rb', 'out_of_band'],
  ['f', 'spam_complaint'],
])

/** @param type in lower case */
export function deliveryType(type: string): DeliveryType | undefined {
  return deliveryTypes.get(type)
}

/** Whether it may be the type of a record, also one that we have no use for. */
export function isRecordType(type: string): boolean {
  return /^[a-z]{1,2}$/.test(type)
}
