// Command hyperkube is every program of the test cluster in one binary: linked together they share most of their code,
// so that they are built in a fifth of the time, and take a fifth of the space, that they would need apart.
//
// It is the program that it is called as (a link named kubelet is the kubelet), or that its first argument names.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/coremain"
	_ "github.com/coredns/coredns/plugin/bind"
	_ "github.com/coredns/coredns/plugin/cache"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/kubernetes"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.etcd.io/etcd/server/v3/etcdmain"
	helm "helm.sh/helm/v4/pkg/cmd"
	helmkube "helm.sh/helm/v4/pkg/kube"
	"k8s.io/component-base/cli"
	"k8s.io/component-base/logs"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	kubectl "k8s.io/kubectl/pkg/cmd"
	kubectlutil "k8s.io/kubectl/pkg/cmd/util"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
	kwokconfig "sigs.k8s.io/kwok/pkg/config"
	kwok "sigs.k8s.io/kwok/pkg/kwok/cmd"
	kwoklog "sigs.k8s.io/kwok/pkg/log"
	kwoksignals "sigs.k8s.io/kwok/pkg/utils/signals"
)

// programs gives the exit status of each program. They find their arguments in os.Args.
var programs = map[string]func() int{
	"coredns":                 runCoreDNS,
	"etcd":                    func() int { etcdmain.Main(os.Args); return 0 },
	"helm":                    runHelm,
	"kube-apiserver":          component(apiserver.NewAPIServerCommand),
	"kube-controller-manager": component(controllermanager.NewControllerManagerCommand),
	"kube-proxy":              component(proxy.NewProxyCommand),
	"kube-scheduler":          component(func() *cobra.Command { return scheduler.NewSchedulerCommand() }),
	"kubectl":                 runKubectl,
	"kubelet":                 component(func() *cobra.Command { return kubelet.NewKubeletCommand(context.Background()) }),
	"kwok":                    runKwok,
	"network-policies":        runNetworkPolicies,
	"volume-provisioner":      runVolumeProvisioner,
}

func main() {
	name := filepath.Base(os.Args[0])
	if programs[name] == nil && len(os.Args) > 1 {
		os.Args = os.Args[1:]
		name = os.Args[0]
	}
	program, ok := programs[name]
	if !ok {
		names := slices.Sorted(maps.Keys(programs))
		fmt.Fprintf(os.Stderr, "hyperkube: call it as one of, or name one of: %s\n", strings.Join(names, " "))
		os.Exit(2)
	}
	if name != "coredns" {
		hideFlagsOfCoreDNS(name)
	}
	os.Exit(program())
}

// component makes a program of a Kubernetes component's command.
func component(command func() *cobra.Command) func() int {
	return func() int { return cli.Run(command()) }
}

// hideFlagsOfCoreDNS takes what CoreDNS and its Caddy have put on the flag set that all packages of a Go program share:
// other programs would offer -p and -version as well, or already have flags with these names. What else is on it, they need.
func hideFlagsOfCoreDNS(name string) {
	theirs := []string{"conf", "dns.port", "p", "pidfile", "plugins", "quiet", "version"}
	shared := flag.CommandLine
	flag.CommandLine = flag.NewFlagSet(name, flag.ExitOnError)
	shared.VisitAll(func(f *flag.Flag) {
		if !slices.Contains(theirs, f.Name) {
			flag.CommandLine.Var(f.Value, f.Name, f.Usage)
		}
	})
}

func runCoreDNS() int {
	dnsserver.Directives = []string{"bind", "errors", "cache", "kubernetes"} // the plugins linked in, in their order
	coremain.Run()
	return 0
}

func runKubectl() int {
	logs.GlogSetter(kubectl.GetLogVerbosity(os.Args))
	if err := cli.RunNoErrOutput(kubectl.NewDefaultKubectlCommand()); err != nil {
		kubectlutil.CheckErr(err) // writes the error as kubectl does, and exits
	}
	return 0
}

func runHelm() int {
	helmkube.ManagedFieldsManager = "helm"
	command, err := helm.NewRootCmd(os.Stdout, os.Args[1:], helm.SetupLogging)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	err = command.Execute() // writes the error
	if status := (helm.CommandError{}); errors.As(err, &status) {
		return status.ExitCode
	}
	if err != nil {
		return 1
	}
	return 0
}

func runKwok() int {
	pflag.CommandLine = pflag.NewFlagSet("kwok", pflag.ExitOnError) // Kubernetes has put a --version of its own there
	flags := pflag.NewFlagSet("global", pflag.ContinueOnError)
	flags.ParseErrorsAllowlist.UnknownFlags = true
	flags.Usage = func() {}
	ctx, _ := kwoklog.InitFlags(kwoksignals.SetupSignalContext(), flags)
	ctx, err := kwokconfig.InitFlags(ctx, flags)
	if err == nil {
		command := kwok.NewCommand(ctx)
		command.PersistentFlags().AddFlagSet(flags)
		err = command.ExecuteContext(ctx)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}
