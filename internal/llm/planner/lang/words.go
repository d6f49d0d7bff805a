package lang

import "strings"

func set(words string) map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields(words) {
		m[w] = true
	}
	return m
}

// fillers carry no request of their own: articles, prepositions, auxiliaries, politeness, hedges.
var fillers = set(`a an the this that these those some any of on in at to for from with by as into onto over under off out up down
via per than about within inside upon towards toward across among between through and or but so then also too as well plus
please kindly just now right away immediately quickly again maybe perhaps really actually simply basically only even still yet already
i you we me us my your our mine yours he she they them their it its his her one ones who whom whose which what when where why how
is are was were be been being am do does did done have has had having can could may might must shall should will would
hi hello hey hallo operator thanks thank cheers okay alright well oh ah hm hmm um uh sorry oops anyway so yes no not nor
if whether while because since until before after once there here let want wanted need like love wish would go ahead make sure
currently moment today currently at all every each both either neither more most less least much many few lot lots
exactly precisely simply quite very rather instead else other another same such own new existing current latest
myself yourself ourselves themselves itself everybody everyone everything everywhere anybody anyone anything anywhere somebody someone something nobody nothing
little bit quick quickly asap soon later afterwards afterward next last first finally first second
called named name titled known together separately respectively namely following below above follows
hope possible able get got getting going gonna keep keeps kept seems seem look looks looking think thinks mean means meant
use using used uses way ways thing things stuff kind sort type number total amount
mate buddy friend dude folks guys sir dear morning evening afternoon day regards best bye goodbye
good great nice cool fine perfect awesome right true ever never mind just case time times please
tell show give let know see say said saying says ask asked wonder wondering curious question
don't doesn't didn't isn't aren't wasn't haven't hasn't won't shan't cannot can't per se also besides exist exists existing needs requires except excluding barring apart aside minus save
side hand part whole entire complete completely fully entirely total altogether especially mainly
come comes came back yesterday tonight tomorrow minute minutes hour hours week weeks ago since
working work works running run runs far long
`)

// Filler tells whether a word may stay unexplained when a sentence is read.
func Filler(w string) bool { return fillers[w] }

// common holds everyday words that typo repair must leave alone although they lie near a word of the lexicon.
var common = set(`smart stark start state store score store story sore shore share stare spare square scare stage stake stamp stand
later latter letter matter water waiter better butter bitter after alter other mother rather gather father
light night right might fight sight eight weight freight flight height
house mouse horse nurse course source force forces found round sound ground bound pound wound
table cable stable label labels level lever clever never fever seven eleven even event events
plane plant plants plan plans place places piece pieces peace price prices prize
poems poem paper papers letter essay story stories joke jokes song songs recipe recipes book books movie movies music
sentence sentences paragraph word words limerick haiku sonnet email emails mail mails letter letters report reports
clear clean clever close closed closer class glass grass cross
build built guild guilt world would could should cloud clouds
write writes white while whole where there these those three threw throw
stock stuck stack sting string strong stone store stove stole style styles
great green greet grant grand brand bread break brake brain train rain
point paint print prints sprint spring strings thing things think thank thanks
month months mouth south north youth truth
reason season lesson person prison
under wonder order border older folder holder
being bring string wing king ring
people purple couple simple sample example temple
happy happen happens happened apply apple
quiet quite quick quit queue
learn learns earn yearn
flower power tower lower slower shower
faster master easter foster poster disaster
human woman women money honey monkey
number member remember november december
weather leather whether feather
morning warning evening during
server serve serves served service services
secret secrets second seconds section
restart start stop drop shop step ship skip skin skill skills kill still till fill bill will well tell sell cell call calls fall hall wall tall small
model modem modes mode node nodes notes note noted
trust rust must just dust crust burst first thirst
change chance charge large chair chain
clone clown crown drown blown flown known
tests texts text test best rest rests west nest guest
agent agents urgent gent
since sings singing sing wins wind winds window windows
lists lasts list last fist mist most cost costs post lost host hosts
named names games gamed tamed
field fields yield shield
early nearly clearly yearly
enter center centre renter
sleep sheep sheet sweet street
dance fence hence pence
guess guest dress press
teach reach reached beach peach each
check cheek chick cheque
whose chose close those hose nose rose
happening opening listening
moved loved lived
value values valve
forget forgot target budget
doing going
cheap cheaper
slow slower fast
`)

// Common tells whether a word is everyday English that must not be taken for a slip of another word.
func Common(w string) bool { return common[w] || fillers[w] }
