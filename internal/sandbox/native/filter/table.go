package filter

// none marks a call that an architecture does not have.
const none = -1

// number is a system call's number by architecture.
type number struct{ amd64, arm64 int }

// lastKnown is the highest call that this table was written with. Newer ones answer ENOSYS, so that a call nobody has
// judged is not there; programs fall back to older ones. It is the same on both architectures since Linux 5.
const lastKnown = 471

// refused are the calls that fail with EPERM: those that make or change namespaces, mounts, modules, the clock, quotas
// and the machine; those that reach kernel parts with a long record of faults.
var refused = map[string]number{
	"_sysctl":           {156, none},
	"acct":              {163, 89},
	"add_key":           {248, 217},
	"adjtimex":          {159, 171},
	"bpf":               {321, 280},
	"chroot":            {161, 51},
	"clock_adjtime":     {305, 266},
	"clock_settime":     {227, 112},
	"create_module":     {174, none},
	"delete_module":     {176, 106},
	"fanotify_init":     {300, 262},
	"finit_module":      {313, 273},
	"fsconfig":          {431, 431},
	"fsmount":           {432, 432},
	"fsopen":            {430, 430},
	"fspick":            {433, 433},
	"get_kernel_syms":   {177, none},
	"init_module":       {175, 105},
	"ioperm":            {173, none},
	"iopl":              {172, none},
	"kcmp":              {312, 272},
	"kexec_file_load":   {320, 294},
	"kexec_load":        {246, 104},
	"keyctl":            {250, 219},
	"listmount":         {458, 458},
	"listns":            {470, 470},
	"lookup_dcookie":    {212, 18},
	"lsm_set_self_attr": {460, 460},
	"migrate_pages":     {256, 238},
	"modify_ldt":        {154, none},
	"mount":             {165, 40},
	"mount_setattr":     {442, 442},
	"move_mount":        {429, 429},
	"move_pages":        {279, 239},
	"name_to_handle_at": {303, 264},
	"nfsservctl":        {180, 42},
	"open_by_handle_at": {304, 265},
	"open_tree":         {428, 428},
	"open_tree_attr":    {467, 467},
	"perf_event_open":   {298, 241},
	"pivot_root":        {155, 41},
	"query_module":      {178, none},
	"quotactl":          {179, 60},
	"quotactl_fd":       {443, 443},
	"reboot":            {169, 142},
	"request_key":       {249, 218},
	"setdomainname":     {171, 162},
	"sethostname":       {170, 161},
	"setns":             {308, 268},
	"settimeofday":      {164, 170},
	"statmount":         {457, 457},
	"swapoff":           {168, 225},
	"swapon":            {167, 224},
	"sysfs":             {139, none},
	"syslog":            {103, 116},
	"umount2":           {166, 39},
	"unshare":           {272, 97},
	"uselib":            {134, none},
	"userfaultfd":       {323, 282},
	"ustat":             {136, none},
	"vhangup":           {153, 58},
}

// absent are the calls that answer ENOSYS, because programs then use an older one instead. clone3 hides its flags from
// a filter in memory; io_uring does calls behind the filter's back; memfd_secret hides memory from the count.
var absent = map[string]number{
	"clone3":            {435, 435},
	"io_uring_enter":    {426, 426},
	"io_uring_register": {427, 427},
	"io_uring_setup":    {425, 425},
	"memfd_secret":      {447, 447},
}

// judged are the calls that are allowed by their arguments.
var judged = map[string]number{
	"clone":      {56, 220},
	"ioctl":      {16, 29},
	"sendmmsg":   {307, 269},
	"sendmsg":    {46, 211},
	"sendto":     {44, 206},
	"setsockopt": {54, 208},
	"socket":     {41, 198},
	"socketpair": {53, 199},
}
