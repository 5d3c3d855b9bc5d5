/** How many cores this process may use. */
import { readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'

/**
 * A container's share of the machine's time, in cores, by its control group (v2, v1). Node looks at it from version 22
 * on only. `root` is where control groups are mounted. Nothing where there is no quota.
 */
export function coreQuota(root = '/sys/fs/cgroup'): number | undefined {
  const [quota, period] = read(`${root}/cpu.max`)?.split(' ') ?? [
    read(`${root}/cpu/cpu.cfs_quota_us`),
    read(`${root}/cpu/cpu.cfs_period_us`),
  ]
  const share = Number(quota) / Number(period)
  return share > 0 && Number.isFinite(share) ? Math.max(1, Math.ceil(share)) : undefined
}

function read(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8').trim()
  } catch {
    return undefined
  }
}

export const cores: number = Math.min(availableParallelism(), coreQuota() ?? Number.POSITIVE_INFINITY)
