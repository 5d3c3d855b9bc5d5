/** The number of cores that this process may use. */
import { readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'

/**
 * The CPU quota of this process's control group (v2 or v1) in cores, rounded up; undefined without a quota. Needed because
 * Node considers the quota only from version 22 on. `root` is where control groups are mounted.
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
