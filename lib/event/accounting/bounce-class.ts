/** SparkPost's bounce classes for PowerMTA's bounce categories. */
import type { BounceCategory } from '../powermta/bounce-category.ts'

/** PowerMTA `bounceCat` → SparkPost bounce class. docs/acct_etl.md gives the reasons. */
const classes: Readonly<Record<BounceCategory, number>> = {
  'bad-configuration': 25,
  'bad-connection': 20,
  'bad-domain': 10,
  'bad-mailbox': 10,
  'content-related': 52,
  'inactive-mailbox': 10,
  'invalid-sender': 50,
  'message-expired': 24,
  'no-answer-from-host': 24,
  other: 1,
  'policy-related': 50,
  'protocol-errors': 40,
  'quota-issues': 22,
  'relaying-issues': 54,
  'routing-errors': 21,
  'spam-related': 51,
  'virus-related': 53,
}

/** For a category that the operator made up, or none: nobody knows, and so not hard. */
const undeterminedClass = 1
/** For a delay without a telling category. */
const transientClass = 70

/** @param isDelay the message is still being tried */
export function bounceClass(category: BounceCategory | 'own' | 'none', isDelay: boolean): number {
  const known = category === 'own' || category === 'none' ? undeterminedClass : classes[category]
  return isDelay && known === undeterminedClass ? transientClass : known
}
