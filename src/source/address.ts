/** Decides which network addresses downloads may connect to. */
import type { LookupAddress } from 'node:dns'
import { lookup as systemLookup } from 'node:dns/promises'
import { isIP } from 'node:net'
import ipaddr from 'ipaddr.js'
import { BlockedUrlError } from '../errors.ts'

/** Resolves a host name to all its A and AAAA addresses. Tests replace it. */
export type Resolve = (hostname: string) => Promise<LookupAddress[]>

export const resolveWithSystem: Resolve = (hostname) => systemLookup(hostname, { all: true })

/** Ranges that the `private` rule opens. Link-local, where cloud metadata lives, stays closed even then. */
const privateRanges: readonly string[] = ['loopback', 'private', 'carrierGradeNat', 'uniqueLocal']

/** The IPv6 range that is globally assigned. ipaddr.js also classifies unassigned addresses such as `::7f00:1` as unicast. */
const globalIpv6 = ipaddr.IPv6.parseCIDR('2000::/3')

/**
 * Azure's address for host services inside virtual machines. It is private although it lies in a public range. Those of
 * other clouds are link-local or private anyway.
 */
const hostServices: readonly string[] = ['168.63.129.16']

/** Whether a download may connect to the address. IPv4 addresses mapped into IPv6 are treated as IPv4. */
export function mayConnect(text: string, privateAllowed: boolean): boolean {
  if (!ipaddr.isValid(text)) return false
  const address = ipaddr.process(text)
  const range = hostServices.includes(address.toString()) ? 'private' : address.range()
  if (range !== 'unicast') return privateAllowed && privateRanges.includes(range)
  return address instanceof ipaddr.IPv4 || address.match(globalIpv6)
}

/**
 * Resolves a host to its addresses. Rejects with BlockedUrlError if one of them is not allowed; the message reveals neither
 * the address nor its range.
 */
export async function checkedAddresses(
  hostname: string,
  privateAllowed: boolean,
  resolve: Resolve,
): Promise<LookupAddress[]> {
  const literal = hostname.replace(/^\[|\]$/g, '')
  const family = isIP(literal)
  const addresses = family
    ? [{ address: literal, family }]
    : await resolveName(hostname, privateAllowed, resolve)
  if (addresses.length === 0 || !addresses.every(({ address }) => mayConnect(address, privateAllowed))) {
    throw notPublic(hostname)
  }
  return addresses
}

/** Reports an unknown public name like a blocked one, so that clients cannot probe which internal names exist. */
async function resolveName(
  hostname: string,
  privateAllowed: boolean,
  resolve: Resolve,
): Promise<LookupAddress[]> {
  try {
    return await resolve(hostname)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    const unknown = code === 'ENOTFOUND' || code === 'ENODATA'
    throw unknown && !privateAllowed ? notPublic(hostname) : error
  }
}

function notPublic(hostname: string): BlockedUrlError {
  return new BlockedUrlError(`${hostname} is not a public host`)
}

/** Whether two spellings denote the same address. */
export function sameAddress(a: string, b: string): boolean {
  return (
    ipaddr.isValid(a) && ipaddr.isValid(b) && ipaddr.process(a).toString() === ipaddr.process(b).toString()
  )
}
