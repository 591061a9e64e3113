package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/sig-storage-lib-external-provisioner/v13/controller"
)

const provisionerName = "kubenas.dev/local"

// volumes makes persistent volumes of directories of the one node.
//
// They are "local" volumes, not "hostPath" ones as those of the controller manager's own provisioner: only to a local
// volume does the kubelet give the group of a pod (fsGroup), which a pod that does not run as root needs to write.
type volumes struct {
	directory string // each volume is a directory in it
	node      string
}

// Provision makes the directory of a volume. A storage class with the parameter `limited: "true"` makes it a file system
// in memory of the size that was asked for, which can be filled.
func (v *volumes) Provision(_ context.Context, options controller.ProvisionOptions) (*core.PersistentVolume, controller.ProvisioningState, error) {
	path := filepath.Join(v.directory, options.PVName)
	size := options.PVC.Spec.Resources.Requests[core.ResourceStorage]
	if err := makeVolume(path, size, options.StorageClass.Parameters["limited"] == "true"); err != nil {
		return nil, controller.ProvisioningFinished, fmt.Errorf("making %s: %w", path, err)
	}
	here := core.NodeSelectorRequirement{Key: core.LabelHostname, Operator: core.NodeSelectorOpIn, Values: []string{v.node}}
	return &core.PersistentVolume{
		ObjectMeta: meta.ObjectMeta{Name: options.PVName},
		Spec: core.PersistentVolumeSpec{
			AccessModes:                   options.PVC.Spec.AccessModes,
			Capacity:                      core.ResourceList{core.ResourceStorage: size},
			PersistentVolumeReclaimPolicy: *options.StorageClass.ReclaimPolicy,
			PersistentVolumeSource:        core.PersistentVolumeSource{Local: &core.LocalVolumeSource{Path: path}},
			NodeAffinity: &core.VolumeNodeAffinity{Required: &core.NodeSelector{
				NodeSelectorTerms: []core.NodeSelectorTerm{{MatchExpressions: []core.NodeSelectorRequirement{here}}},
			}},
		},
	}, controller.ProvisioningFinished, nil
}

// Delete removes a volume and all that is in it.
func (v *volumes) Delete(_ context.Context, volume *core.PersistentVolume) error {
	path := filepath.Join(v.directory, volume.Name)
	if err := unix.Unmount(path, unix.MNT_DETACH); err != nil && err != unix.EINVAL && err != unix.ENOENT {
		return fmt.Errorf("unmounting %s: %w", path, err)
	}
	return os.RemoveAll(path)
}

func makeVolume(path string, size resource.Quantity, limited bool) error {
	if err := os.MkdirAll(path, 0o755); err != nil {
		return err
	}
	if !limited {
		return nil
	}
	return unix.Mount("tmpfs", path, "tmpfs", 0, fmt.Sprintf("size=%d,mode=0755", size.Value()))
}

func runVolumeProvisioner() int {
	kubeconfig := flag.String("kubeconfig", "", "kubeconfig `file`")
	directory := flag.String("directory", "", "where the directories of the volumes are made")
	node := flag.String("node", "", "`name` of the node that has the directory")
	flag.Parse()
	config, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	ctx := context.Background()
	client := kubernetes.NewForConfigOrDie(config)
	volumes := &volumes{*directory, *node}
	controller.NewProvisionController(ctx, client, provisionerName, volumes, controller.LeaderElection(false)).Run(ctx)
	return 0
}
